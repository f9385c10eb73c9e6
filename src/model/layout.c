/* The layout of all matrices: panels in declaration order, one after another, as the kernels read them.
 *
 * It is made once for a file and kept in the cache folder, so that a second start maps it and converts
 * nothing:
 *
 *     | header, 4096 bytes | panels of matrix 0 | panels of matrix 1 | ...
 *
 * The name of the cache file and its header hold a key over (device, inode, size, mtime of every part, layout
 * version, numeric class, tensor list); the header also holds a digest of the panels. A file appears under
 * its name complete (rename) or not at all. When the cache cannot be written (read-only, full, locked by
 * another process that converts now) the layout lives in memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/cache_folder.h"
#include "base/cpu.h"
#include "base/pool.h"
#include "format/map_guard.h"
#include "model/model.h"

enum { LAYOUT_VERSION = 2, HEADER_BYTES = 4096, WINDOW_BYTES = 32 << 20, HUGE_PAGE = 2 << 20 };

struct header {
    char magic[8]; /* "LATHELAY" */
    uint32_t version, reserved;
    uint64_t n_bytes; /* of panels */
    XXH128_hash_t key;
    XXH128_hash_t digest; /* of panels */
};

struct layout {
    uint8_t *room; /* what is to be unmapped: the mapping, or the address space around it */
    size_t room_bytes;
    uint8_t *map;
    size_t map_bytes;
    uint8_t *panels;
    int guard; /* slot of the map guard, -1 in memory */
};

static XXH128_hash_t layout_key(const struct lathe_model *m, const struct matrix_list *list)
{
    XXH3_state_t *s = XXH3_createState();
    XXH3_128bits_reset(s);
    struct mf_identity id;
    for (int i = 0; model_file_identity(m->file, i, &id); i++)
        XXH3_128bits_update(s, &id, sizeof id);
    uint64_t fixed[2] = {LAYOUT_VERSION, list->layout_bytes};
    XXH3_128bits_update(s, fixed, sizeof fixed);
    for (size_t i = 0; i < list->n; i++) {
        const struct matrix *x = list->v[i];
        uint64_t row[5] = {x->format, (uint64_t)x->n_row, (uint64_t)x->n_col, x->offset, x->panel_stride};
        XXH3_128bits_update(s, row, sizeof row);
    }
    XXH128_hash_t key = XXH3_128bits_digest(s);
    XXH3_freeState(s);
    return key;
}

/* ---- packing ---- */

enum { PACK_PANELS = 32 }; /* panels of one piece */

/* Packs the part of a matrix that falls into bytes [from, from + n) of the layout. */
struct pack {
    const struct matrix *m;
    uint8_t *window;
    uint64_t from, n;
    int first_panel, last_panel;
};

static void pack_panel(const struct pack *a, int panel, uint8_t *out)
{
    const struct matrix *m = a->m;
    const struct format *f = format_by_id(m->format);
    size_t row_bytes = (size_t)(m->n_col / f->block_n) * (size_t)f->block_bytes;
    int n_row = m->n_row - panel * LANES < LANES ? m->n_row - panel * LANES : LANES;
    panel_pack(m->format, m->tensor->data + (size_t)panel * LANES * row_bytes, row_bytes, n_row, m->n_col,
               out);
}

static void pack_piece(const struct pool_op *op, int piece, int worker)
{
    const struct pack *a = op->arg;
    size_t size = a->m->panel_bytes;
    int first = a->first_panel + piece * PACK_PANELS, last = first + PACK_PANELS;
    for (int p = first; p < last && p < a->last_panel; p++) {
        uint64_t at = a->m->offset + (uint64_t)p * a->m->panel_stride;
        if (at >= a->from + a->n || at + size <= a->from)
            continue;
        if (at >= a->from && at + size <= a->from + a->n) {
            pack_panel(a, p, a->window + (at - a->from));
            continue;
        }
        uint8_t *whole = mem_new(size); /* cut by the window's edge */
        pack_panel(a, p, whole);
        uint64_t lo = at > a->from ? at : a->from,
                 hi = at + size < a->from + a->n ? at + size : a->from + a->n;
        memcpy(a->window + (lo - a->from), whole + (lo - at), hi - lo);
        free(whole);
    }
}

/* Bytes [from, from + n) of the layout, into window. */
static void pack_window(const struct matrix_list *list, struct pool *pool, uint64_t from, uint64_t n,
                        uint8_t *window)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct matrix *m = list->v[i];
        uint64_t end = m->offset + (uint64_t)m->n_panel * m->panel_stride;
        if (end <= from || m->offset >= from + n)
            continue;
        struct pack a = {.m = m, .window = window, .from = from, .n = n, .last_panel = m->n_panel};
        if (m->offset < from)
            a.first_panel = (int)((from - m->offset) / m->panel_stride);
        if (end > from + n)
            a.last_panel = (int)((from + n - m->offset + m->panel_stride - 1) / m->panel_stride);
        struct pool_op op = {.run = pack_piece, .arg = &a, .name = "layout", .layer = -1};
        op.n_piece = (a.last_panel - a.first_panel + PACK_PANELS - 1) / PACK_PANELS;
        pool_run(pool, &op, 1);
        pool_settle(pool);
    }
}

/* Lays everything out in windows. Each goes to `write` (arg, offset, bytes), which returns 0 to go on. */
static int pack_all(struct lathe_model *m, const struct matrix_list *list,
                    const struct lathe_model_options *o,
                    int (*write)(void *arg, uint64_t offset, const uint8_t *p, size_t n), void *arg,
                    uint8_t *target, struct lathe_err *err)
{
    struct pool *pool;
    uint8_t *window = target;
    int rc = 0;
    TRY(pool_new(o->n_thread > 0 ? o->n_thread : cpu_count(), &pool, err));
    if (!target)
        rc = mem_map(WINDOW_BYTES, "layout window", (void **)&window, err);
    for (uint64_t at = 0; !rc && at < list->layout_bytes;) {
        /* the first window is short by the header, so that all others begin on a huge page of the file */
        uint64_t n = WINDOW_BYTES - (at ? 0 : HEADER_BYTES);
        n = n < list->layout_bytes - at ? n : list->layout_bytes - at;
        pack_window(list, pool, at, n, target ? target + at : window);
        if (write)
            rc = write(arg, at, window, n);
        at += n;
        if (o->progress)
            o->progress(o->user, "laying out weights", (double)at / (double)list->layout_bytes);
    }
    if (!target)
        mem_unmap(window, WINDOW_BYTES);
    pool_free(pool);
    for (size_t i = 0; i < list->n; i++)
        model_file_drop(m->file, list->v[i]->tensor);
    if (!rc && model_file_damaged(m->file))
        return err_set(err, LATHE_E_FILE, "%s was cut while it was read", model_file_path(m->file));
    return rc;
}

/* ---- the cached file ---- */

/* Maps a file read-only at a multiple of the huge page size, in a room of its own: where the page cache holds
 * huge folios (the file was written in large parts), they are then mapped as such. On 4 KiB pages reading is
 * a third slower (Zen 4: 35 against 54 GB/s). */
static bool map_huge(struct layout *l, int fd, size_t n)
{
    size_t room_bytes = n + HUGE_PAGE;
    uint8_t *room = mmap(NULL, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return false;
    uint8_t *at = room + (HUGE_PAGE - (uintptr_t)room % HUGE_PAGE) % HUGE_PAGE;
    if (mmap(at, n, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
        map_guard_add(at, n, &l->guard, NULL)) {
        munmap(room, room_bytes);
        return false;
    }
    madvise(at, n, MADV_HUGEPAGE);
    l->room = room;
    l->room_bytes = room_bytes;
    l->map = at;
    l->map_bytes = n;
    return true;
}

static void unmap(struct layout *l)
{
    map_guard_remove(l->guard);
    mem_unmap(l->room, l->room_bytes);
    *l = (struct layout){.guard = -1};
}

static bool cache_map(struct layout *l, const char *path, XXH128_hash_t key, uint64_t n_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0 && (uint64_t)st.st_size == HEADER_BYTES + n_bytes &&
              map_huge(l, fd, (size_t)st.st_size);
    close(fd);
    if (!ok)
        return false;
    const struct header *h = (const struct header *)l->map;
    if (memcmp(h->magic, "LATHELAY", 8) || h->version != LAYOUT_VERSION || h->n_bytes != n_bytes ||
        !XXH128_isEqual(h->key, key)) {
        unmap(l);
        return false;
    }
    l->panels = l->map + HEADER_BYTES;
#ifdef MADV_POPULATE_READ
    if (madvise(l->map, l->map_bytes, MADV_POPULATE_READ) != 0)
#endif
        madvise(l->map, l->map_bytes, MADV_WILLNEED);
    return true;
}

/* Whether `path` is still the file behind fd: another process may have renamed it into place before we got
 * the lock. */
static bool same_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

struct cache_writer {
    int fd;
    XXH3_state_t *digest;
    bool failed; /* the disk, not the model: the layout then lives in memory */
};

static bool write_all(int fd, const void *p, size_t n, uint64_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(fd, (const uint8_t *)p + done, n - done, (off_t)(at + done));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        done += (size_t)k;
    }
    return true;
}

static int cache_write(void *arg, uint64_t offset, const uint8_t *p, size_t n)
{
    struct cache_writer *w = arg;
    XXH3_128bits_update(w->digest, p, n);
    w->failed = !write_all(w->fd, p, n, HEADER_BYTES + offset);
    return w->failed ? LATHE_E_IO : 0;
}

/* Makes the layout in a file under a temporary name, then renames it. False: the caller makes it in memory.
 */
static bool cache_make(struct lathe_model *m, const struct matrix_list *list, const char *path,
                       XXH128_hash_t key, const struct lathe_model_options *o, int *rc, struct lathe_err *err)
{
    char temp[4200];
    snprintf(temp, sizeof temp, "%s.part", path);
    struct cache_writer w = {.fd = open(temp, O_RDWR | O_CREAT | O_CLOEXEC, 0644)};
    if (w.fd < 0)
        return false;
    bool made = false;
    if (flock(w.fd, LOCK_EX | LOCK_NB) == 0 && same_file(w.fd, temp) && ftruncate(w.fd, 0) == 0) {
        w.digest = XXH3_createState();
        XXH3_128bits_reset(w.digest);
        *rc = pack_all(m, list, o, cache_write, &w, NULL, err);
        struct header h = {
            .magic = "LATHELAY", .version = LAYOUT_VERSION, .n_bytes = list->layout_bytes, .key = key};
        h.digest = XXH3_128bits_digest(w.digest);
        XXH3_freeState(w.digest);
        made = *rc == 0 && write_all(w.fd, &h, sizeof h, 0) && rename(temp, path) == 0;
        if (made)
            cache_trim(path);
        if (!made)
            unlink(temp);
        if (w.failed)
            *rc = 0;
    }
    close(w.fd);
    return made || *rc != 0;
}

int layout_open(struct lathe_model *m, const struct matrix_list *list, const struct lathe_model_options *o,
                struct lathe_err *err)
{
    char folder[4000], path[4100];
    XXH128_hash_t key = layout_key(m, list);
    struct layout *l = mem_new(sizeof *l);
    l->guard = -1;
    int rc = 0;
    m->layout = l;
    if (!o->no_cache && cache_folder(o->cache_dir, "layouts", folder, sizeof folder)) {
        snprintf(path, sizeof path, "%s/%016llx%016llx.lay", folder, (unsigned long long)key.high64,
                 (unsigned long long)key.low64);
        m->layout_cached = cache_map(l, path, key, list->layout_bytes);
        if (!m->layout_cached && cache_make(m, list, path, key, o, &rc, err) && rc == 0)
            cache_map(l, path, key, list->layout_bytes);
        TRY(rc);
    }
    if (!l->panels) {
        TRY(mem_map(list->layout_bytes, "laid-out weights", (void **)&l->room, err));
        l->room_bytes = l->map_bytes = list->layout_bytes;
        l->panels = l->map = l->room;
        TRY(pack_all(m, list, o, NULL, NULL, l->panels, err));
    }
    for (size_t i = 0; i < list->n; i++)
        list->v[i]->panels = l->panels + list->v[i]->offset;
    if (o->lock && mlock(l->map, l->map_bytes) != 0)
        return err_set(err, LATHE_E_FAILED,
                       "cannot lock %zu bytes of weights in memory: %s; raise 'ulimit -l'", l->map_bytes,
                       strerror(errno));
    return 0;
}

void layout_free(struct layout *l)
{
    if (!l)
        return;
    unmap(l);
    free(l);
}

bool model_damaged(const struct lathe_model *m)
{
    return model_file_damaged(m->file) || (m->layout->guard >= 0 && map_guard_damaged(m->layout->guard));
}
