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
#include "base/mem.h"
#include "format/map_guard.h"

enum { HUGE_PAGE = 2 << 20 };

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
 * huge folios (the file was written in large parts), they are then mapped as such. On 4 KiB pages reading is
 * a third slower (Zen 4: 35 against 54 GB/s). */
static bool map_huge(struct cache_view *v, int fd, size_t n)
{
    size_t room_bytes = n + HUGE_PAGE;
    uint8_t *room = mmap(NULL, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return false;
    uint8_t *at = room + (HUGE_PAGE - (uintptr_t)room % HUGE_PAGE) % HUGE_PAGE;
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

bool cache_view_open(struct cache_view *v, const char *path, const struct cache_id *id)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    *v = (struct cache_view){.guard = -1};
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= CACHE_HEADER_BYTES &&
              map_huge(v, fd, (size_t)st.st_size);
    close(fd);
    if (!ok)
        return false;
    const struct header *h = (const struct header *)v->map;
    if (memcmp(h->magic, id->magic, sizeof h->magic) || h->version != id->version ||
        h->n_bytes != cache_view_size(v) || !XXH128_isEqual(h->key, id->key)) {
        cache_view_close(v);
        return false;
    }
#ifdef MADV_POPULATE_READ
    if (madvise(v->map, v->map_bytes, MADV_POPULATE_READ) != 0)
#endif
        madvise(v->map, v->map_bytes, MADV_WILLNEED);
    return true;
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
static bool same_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

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
    if (flock(w->fd, LOCK_EX | LOCK_NB) != 0 || !same_file(w->fd, temp) || ftruncate(w->fd, 0) != 0) {
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
    w->failed = w->failed || !write_all(w->fd, p, n, CACHE_HEADER_BYTES + w->n_bytes);
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
    bool made = keep && !w->failed && write_all(w->fd, &h, sizeof h, 0) && rename(temp, w->path) == 0;
    if (made)
        cache_trim(w->path);
    else
        unlink(temp);
    close(w->fd);
    return made;
}
