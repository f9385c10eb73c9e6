/* The layout of all matrices: panels in declaration order, one after another, as the kernels read them.
 *
 * It is made once for a file and kept in the cache folder, so that a second start maps it and converts nothing:
 *
 *     | header, 4096 bytes | panels of matrix 0 | panels of matrix 1 | ...
 *
 * The name of the cache file and its header hold a key over (device, inode, size, mtime of every part, layout version, numeric class, tensor
 * list); the header also holds a digest of the panels. A file appears under its name complete (rename) or not at all. When the cache cannot
 * be written (read-only, full, locked by another process that converts now) the layout lives in memory. */
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
#include "base/cpu.h"
#include "base/pool.h"
#include "model/model.h"

enum { LAYOUT_VERSION = 1, HEADER_BYTES = 4096 };

struct header {
    char magic[8]; /* "LATHELAY" */
    uint32_t version, reserved;
    uint64_t n_bytes; /* of panels */
    XXH128_hash_t key;
    XXH128_hash_t digest; /* of panels */
};

struct layout {
    uint8_t *map;
    size_t map_bytes;
    uint8_t *panels;
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
        uint64_t row[4] = {x->format, (uint64_t)x->n_row, (uint64_t)x->n_col, x->offset};
        XXH3_128bits_update(s, row, sizeof row);
    }
    XXH128_hash_t key = XXH3_128bits_digest(s);
    XXH3_freeState(s);
    return key;
}

/* ---- packing ---- */

enum { PACK_PANELS = 32 }; /* panels of one piece */

struct pack {
    const struct matrix *m;
    uint8_t *panels;
};

static void pack_piece(const struct pool_op *op, int piece, int worker)
{
    const struct pack *a = op->arg;
    const struct matrix *m = a->m;
    const struct format *f = format_by_id(m->format);
    size_t row_bytes = (size_t)(m->n_col / f->block_n) * (size_t)f->block_bytes;
    for (int p = piece * PACK_PANELS; p < (piece + 1) * PACK_PANELS && p < m->n_panel; p++) {
        int n_row = m->n_row - p * LANES < LANES ? m->n_row - p * LANES : LANES;
        panel_pack(m->format, m->tensor->data + (size_t)p * LANES * row_bytes, row_bytes, n_row, m->n_col,
                   a->panels + (size_t)p * m->panel_bytes);
    }
}

static int pack_all(struct lathe_model *m, const struct matrix_list *list, uint8_t *panels,
                    const struct lathe_model_options *o, struct lathe_err *err)
{
    struct pool *pool;
    TRY(pool_new(o->n_thread > 0 ? o->n_thread : cpu_count(), &pool, err));
    for (size_t i = 0; i < list->n; i++) {
        struct pack a = {list->v[i], panels + list->v[i]->offset};
        struct pool_op op = {.run = pack_piece, .arg = &a, .name = "layout", .layer = -1};
        op.n_piece = (list->v[i]->n_panel + PACK_PANELS - 1) / PACK_PANELS;
        pool_run(pool, &op, 1);
        pool_settle(pool); /* a and op are on this stack */
        model_file_drop(m->file, list->v[i]->tensor);
        if (o->progress)
            o->progress(o->user, "laying out weights", (double)(i + 1) / (double)list->n);
    }
    pool_free(pool);
    if (model_file_damaged(m->file))
        return err_set(err, LATHE_E_FILE, "%s was cut while it was read", model_file_path(m->file));
    return 0;
}

/* ---- the cache folder ---- */

static int make_dirs(char *path)
{
    for (char *p = path + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char c = *p;
        *p = 0;
        int rc = mkdir(path, 0755);
        *p = c;
        if (rc && errno != EEXIST)
            return -1;
        if (!c)
            return 0;
    }
}

/* The folder of layouts, made if needed; false if there is none to be had. */
static bool cache_folder(const struct lathe_model_options *o, char *out, size_t n)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int len;
    if (o->cache_dir)
        len = snprintf(out, n, "%s/layouts", o->cache_dir);
    else if (xdg && xdg[0] == '/')
        len = snprintf(out, n, "%s/lathe/layouts", xdg);
    else if (home && home[0] == '/')
        len = snprintf(out, n, "%s/.cache/lathe/layouts", home);
    else
        return false;
    return len > 0 && (size_t)len < n && make_dirs(out) == 0;
}

static bool cache_map(struct layout *l, const char *path, XXH128_hash_t key, uint64_t n_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0 && (uint64_t)st.st_size == HEADER_BYTES + n_bytes;
    void *p = ok ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    close(fd);
    if (p == MAP_FAILED)
        return false;
    const struct header *h = p;
    if (memcmp(h->magic, "LATHELAY", 8) || h->version != LAYOUT_VERSION || h->n_bytes != n_bytes ||
        !XXH128_isEqual(h->key, key)) {
        munmap(p, (size_t)st.st_size);
        return false;
    }
    l->map = p;
    l->map_bytes = (size_t)st.st_size;
    l->panels = l->map + HEADER_BYTES;
#ifdef MADV_POPULATE_READ
    if (madvise(p, l->map_bytes, MADV_POPULATE_READ) != 0)
#endif
        madvise(p, l->map_bytes, MADV_WILLNEED);
    return true;
}

/* Whether `path` is still the file behind fd: another process may have renamed it into place before we got the lock. */
static bool same_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Makes the layout in a file under a temporary name, then renames it. False: the caller makes it in memory. */
static bool cache_make(struct lathe_model *m, const struct matrix_list *list, const char *path, XXH128_hash_t key,
                       const struct lathe_model_options *o, int *rc, struct lathe_err *err)
{
    char temp[4200];
    uint64_t n = HEADER_BYTES + list->layout_bytes;
    snprintf(temp, sizeof temp, "%s.part", path);
    int fd = open(temp, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    void *p = MAP_FAILED;
    bool made = false;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && same_file(fd, temp) && posix_fallocate(fd, 0, (off_t)n) == 0)
        p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED) {
        struct header *h = p;
        *rc = pack_all(m, list, (uint8_t *)p + HEADER_BYTES, o, err);
        if (*rc == 0) {
            *h = (struct header){.magic = "LATHELAY", .version = LAYOUT_VERSION, .n_bytes = list->layout_bytes, .key = key};
            h->digest = XXH3_128bits((uint8_t *)p + HEADER_BYTES, list->layout_bytes);
            made = fdatasync(fd) == 0 && rename(temp, path) == 0;
        }
        munmap(p, n);
        if (!made)
            unlink(temp);
    }
    close(fd);
    return made || *rc != 0;
}

int layout_open(struct lathe_model *m, const struct matrix_list *list, const struct lathe_model_options *o,
                struct lathe_err *err)
{
    char folder[4000], path[4100];
    XXH128_hash_t key = layout_key(m, list);
    struct layout *l = mem_new(sizeof *l);
    int rc = 0;
    m->layout = l;
    if (!o->no_cache && cache_folder(o, folder, sizeof folder)) {
        snprintf(path, sizeof path, "%s/%016llx%016llx.lay", folder, (unsigned long long)key.high64,
                 (unsigned long long)key.low64);
        m->layout_cached = cache_map(l, path, key, list->layout_bytes);
        if (!m->layout_cached && cache_make(m, list, path, key, o, &rc, err) && rc == 0)
            cache_map(l, path, key, list->layout_bytes);
        TRY(rc);
    }
    if (!l->panels) {
        TRY(mem_map(list->layout_bytes, "laid-out weights", (void **)&l->map, err));
        l->map_bytes = list->layout_bytes;
        l->panels = l->map;
        TRY(pack_all(m, list, l->panels, o, err));
    }
    for (size_t i = 0; i < list->n; i++)
        list->v[i]->panels = l->panels + list->v[i]->offset;
    if (o->lock && mlock(l->map, l->map_bytes) != 0)
        return err_set(err, LATHE_E_FAILED, "cannot lock %zu bytes of weights in memory: %s; raise 'ulimit -l'", l->map_bytes,
                       strerror(errno));
    return 0;
}

void layout_free(struct layout *l)
{
    if (!l)
        return;
    mem_unmap(l->map, l->map_bytes);
    free(l);
}
