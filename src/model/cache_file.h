/* One file of the cache folder: a header of 4096 bytes, then what is kept.
 *
 * The name of the file and its header hold a key over (device, inode, size, mtime of every part of the model,
 * kind, version, and what else the content depends on); the header also holds a digest of the content. A file
 * appears under its name complete (rename) or not at all; one process at a time makes it. */
#ifndef LATHE_MODEL_CACHE_FILE_H
#define LATHE_MODEL_CACHE_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>
#include "base/pool.h"
#include "format/model_file.h"

enum { CACHE_HEADER_BYTES = 4096 };

struct cache_id {
    const char *magic;  /* 8 characters */
    const char *suffix; /* of the name: one of cache_folder's */
    uint32_t version;
    XXH128_hash_t key;
};

/* The parts' identities go into a key first; the caller adds the rest. */
void cache_key_start(XXH3_state_t *s, const struct model_file *f);

/* Path of the file in the folder of cache_folder(dir); false if there is no folder to be had. */
bool cache_path(const char *dir, const struct cache_id *id, char *out, size_t n);

/* ---- reading ---- */

struct cache_view {
    uint8_t *room; /* what is to be unmapped: the mapping, or the address space around it; or the memory */
    size_t room_bytes;
    uint8_t *map;
    size_t map_bytes;
    int guard; /* slot of the map guard, -1 without one */
};

/* Maps a file read-only and, if `all`, reads it in. False if there is none, or its header does not fit: another kind,
 * version or key, a size other than the header's. The digest is not looked at. */
bool cache_view_open(struct cache_view *v, const char *path, const struct cache_id *id, bool all);
/* The same, but copies the file into memory on huge pages, which a file's mapping seldom has (its page cache was filled
 * in small parts; Linux before 6.16 on ext4). False too if there is no memory. */
bool cache_view_load(struct cache_view *v, const char *path, const struct cache_id *id, struct pool *pool);
static inline const uint8_t *cache_view_bytes(const struct cache_view *v)
{
    return v->map + CACHE_HEADER_BYTES;
}
static inline size_t cache_view_size(const struct cache_view *v)
{
    return v->map_bytes - CACHE_HEADER_BYTES;
}
/* Whether the content is what was written. */
bool cache_view_intact(const struct cache_view *v);
void cache_view_close(struct cache_view *v);

/* ---- writing ---- */

struct cache_writer {
    int fd;
    const char *path;
    XXH3_state_t *digest;
    uint64_t n_bytes;
    bool failed; /* the disk refused */
};

/* False if it cannot be written, or somebody else is writing it: nothing is left to be done then. */
bool cache_write_start(struct cache_writer *w, const char *path);
/* The next bytes of the content; false once the disk has refused. */
bool cache_write(struct cache_writer *w, const void *p, size_t n);
/* Gives the file its name if `keep` and all was written; whether it did. */
bool cache_write_end(struct cache_writer *w, const struct cache_id *id, bool keep);
#endif
