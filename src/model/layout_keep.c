/* A layout on its way to the disk.
 *
 * The thread runs when nothing else wants its core, so that a server's first requests do not pay for it; whoever waits
 * for it (the end of a short command) gives it a share like its own. */
#include "model/layout_keep.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/thread.h"

enum { PIECE_BYTES = 8 << 20 };

struct layout_keep {
    pthread_t thread;
    char *path;
    struct cache_writer writer;
    struct cache_id id;
    const uint8_t *bytes;
    size_t n_bytes;
    bool made;
};

static void *keep_main(void *arg)
{
    struct layout_keep *k = arg;
    thread_be_idle();
    for (size_t at = 0; at < k->n_bytes; at += PIECE_BYTES) {
        size_t n = k->n_bytes - at < PIECE_BYTES ? k->n_bytes - at : PIECE_BYTES;
        if (!cache_write(&k->writer, k->bytes + at, n))
            break;
    }
    k->made = cache_write_end(&k->writer, &k->id, true);
    return NULL;
}

static void keep_free(struct layout_keep *k)
{
    free(k->path);
    free(k);
}

struct layout_keep *layout_keep_start(const char *path, const struct cache_id *id, const uint8_t *bytes,
                                      size_t n)
{
    struct layout_keep *k = mem_new(sizeof *k);
    k->path = mem_dup(path, strlen(path));
    k->id = *id;
    k->bytes = bytes;
    k->n_bytes = n;
    if (!cache_write_start(&k->writer, k->path)) {
        keep_free(k);
        return NULL;
    }
    if (thread_start(&k->thread, keep_main, k)) {
        cache_write_end(&k->writer, id, false);
        keep_free(k);
        return NULL;
    }
    return k;
}

bool layout_keep_end(struct layout_keep *k)
{
    if (!k)
        return false;
    struct sched_param none = {0};
    pthread_setschedparam(k->thread, SCHED_OTHER, &none);
    pthread_join(k->thread, NULL);
    bool made = k->made;
    keep_free(k);
    return made;
}
