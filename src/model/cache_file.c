/* One file of the cache folder: mapped, or made under a temporary name. */
#include "model/cache_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/cache_folder.h"
#include "base/file_at.h"
#include "base/mem.h"
#include "base/numa.h"
#include "format/map_guard.h"

enum { LOAD_PIECE = 2 << 20 };

struct header {
    char magic[8];
    uint32_t version, reserved;
    uint64_t n_bytes; /* of content */
    XXH128_hash_t key;
    XXH128_hash_t digest; /* of content */
};

void cache_key_start(XXH3_state_t *s, const struct model_file *f)
{
    struct mf_identity id;
    XXH3_128bits_reset(s);
    for (int i = 0; model_file_identity(f, i, &id); i++)
        XXH3_128bits_update(s, &id, sizeof id);
}

bool cache_path(const char *dir, const struct cache_id *id, char *out, size_t n)
{
    char folder[4000];
    if (!cache_folder(dir, "layouts", folder, sizeof folder))
        return false;
    int len = snprintf(out, n, "%s/%016llx%016llx%s", folder, (unsigned long long)id->key.high64,
                       (unsigned long long)id->key.low64, id->suffix);
    return len > 0 && (size_t)len < n;
}

/* ---- reading ---- */

/* Maps a file read-only at a multiple of the huge page size, in a room of its own: where the page cache holds
 * huge folios (the file was written in large parts), they are then mapped as such. */
static bool map_huge(struct cache_view *v, int fd, size_t n)
{
    size_t room_bytes = n + MEM_HUGE_PAGE;
    uint8_t *room = mmap(NULL, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return false;
    uint8_t *at = room + (MEM_HUGE_PAGE - (uintptr_t)room % MEM_HUGE_PAGE) % MEM_HUGE_PAGE;
    if (mmap(at, n, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
        map_guard_add(at, n, &v->guard, NULL)) {
        munmap(room, room_bytes);
        return false;
    }
    madvise(at, n, MADV_HUGEPAGE);
    v->room = room;
    v->room_bytes = room_bytes;
    v->map = at;
    v->map_bytes = n;
    return true;
}

/* Opens the file; its size. */
static int open_file(const char *path, size_t *n)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= CACHE_HEADER_BYTES) {
        *n = (size_t)st.st_size;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool header_fits(const struct header *h, size_t n_file, const struct cache_id *id)
{
    return memcmp(h->magic, id->magic, sizeof h->magic) == 0 && h->version == id->version &&
           h->n_bytes == n_file - CACHE_HEADER_BYTES && XXH128_isEqual(h->key, id->key);
}

bool cache_view_open(struct cache_view *v, const char *path, const struct cache_id *id, bool all)
{
    size_t n;
    int fd = open_file(path, &n);
    *v = (struct cache_view){.guard = -1};
    if (fd < 0)
        return false;
    bool ok = map_huge(v, fd, n);
    close(fd);
    if (!ok)
        return false;
    if (!header_fits((const struct header *)v->map, n, id)) {
        cache_view_close(v);
        return false;
    }
    if (!all)
        return true;
#ifdef MADV_POPULATE_READ
    if (madvise(v->map, v->map_bytes, MADV_POPULATE_READ) != 0)
#endif
        madvise(v->map, v->map_bytes, MADV_WILLNEED);
    return true;
}

/* A file that is being read into memory, in pieces. */
struct load {
    int fd;
    uint8_t *to;
    size_t n;
    _Atomic bool *failed;
};

static void load_piece(const struct pool_op *op, int piece, int worker)
{
    const struct load *l = op->arg;
    size_t at = (size_t)piece * LOAD_PIECE, end = l->n - at < LOAD_PIECE ? l->n : at + LOAD_PIECE;
    if (!file_read_at(l->fd, l->to + at, end - at, at))
        *l->failed = true;
}

bool cache_view_load(struct cache_view *v, const char *path, const struct cache_id *id, struct pool *pool)
{
    struct header h;
    _Atomic bool failed = false;
    struct load l = {.failed = &failed};
    *v = (struct cache_view){.guard = -1};
    l.fd = open_file(path, &l.n);
    if (l.fd < 0)
        return false;
    bool ok = pread(l.fd, &h, sizeof h, 0) == (ssize_t)sizeof h && header_fits(&h, l.n, id) &&
              mem_map(l.n, "laid-out weights", (void **)&l.to, NULL) == 0;
    if (ok) {
        numa_spread(l.to, l.n);
        *v = (struct cache_view){.room = l.to, .room_bytes = l.n, .map = l.to, .map_bytes = l.n, .guard = -1};
        struct pool_op op = {.run = load_piece, .arg = &l, .name = "load", .layer = -1};
        op.n_piece = (int)((l.n + LOAD_PIECE - 1) / LOAD_PIECE);
        pool_run(pool, &op, 1);
        pool_settle(pool);
    }
    close(l.fd);
    if (failed) /* the file was cut meanwhile */
        cache_view_close(v);
    return ok && !failed;
}

bool cache_view_intact(const struct cache_view *v)
{
    const struct header *h = (const struct header *)v->map;
    return XXH128_isEqual(h->digest, XXH3_128bits(cache_view_bytes(v), cache_view_size(v)));
}

void cache_view_close(struct cache_view *v)
{
    map_guard_remove(v->guard);
    mem_unmap(v->room, v->room_bytes);
    *v = (struct cache_view){.guard = -1};
}

/* ---- writing ---- */

/* Whether `path` is still the file behind fd: another process may have renamed it into place before we got
 * the lock. */
static void temp_name(const struct cache_writer *w, char out[4200])
{
    snprintf(out, 4200, "%s.part", w->path);
}

bool cache_write_start(struct cache_writer *w, const char *path)
{
    char temp[4200];
    *w = (struct cache_writer){.path = path};
    temp_name(w, temp);
    w->fd = open(temp, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (w->fd < 0)
        return false;
    if (flock(w->fd, LOCK_EX | LOCK_NB) != 0 || !file_is_at(w->fd, temp) || ftruncate(w->fd, 0) != 0) {
        close(w->fd);
        return false;
    }
    w->digest = XXH3_createState();
    XXH3_128bits_reset(w->digest);
    return true;
}

bool cache_write(struct cache_writer *w, const void *p, size_t n)
{
    XXH3_128bits_update(w->digest, p, n);
    w->failed = w->failed || !file_write_at(w->fd, p, n, CACHE_HEADER_BYTES + w->n_bytes);
    w->n_bytes += n;
    return !w->failed;
}

bool cache_write_end(struct cache_writer *w, const struct cache_id *id, bool keep)
{
    char temp[4200];
    struct header h = {.version = id->version, .n_bytes = w->n_bytes, .key = id->key};
    memcpy(h.magic, id->magic, sizeof h.magic);
    h.digest = XXH3_128bits_digest(w->digest);
    XXH3_freeState(w->digest);
    temp_name(w, temp);
    bool made = keep && !w->failed && file_write_at(w->fd, &h, sizeof h, 0) && rename(temp, w->path) == 0;
    if (made)
        cache_trim(w->path);
    else
        unlink(temp);
    close(w->fd);
    return made;
}
