/* Weights that are larger than memory: a share of every layer stays, the rest is read from the kept layout for each pass, ahead of
 * the layer that runs, and dropped behind it.
 *
 * The layout is mapped, so that nothing here is needed for the right bits: a page that is not there yet is read when a kernel
 * touches it. What is decided here is which pages are there in time, and which make room. */
#ifndef LATHE_MODEL_DISK_STREAM_H
#define LATHE_MODEL_DISK_STREAM_H
#include "base/err.h"

struct lathe_model;
struct disk_stream;

/* For a model that is laid out, its panels mapped from the kept file at `path`. IO if that file cannot be opened. */
int disk_stream_new(const struct lathe_model *m, const char *path, const uint8_t *panels,
                    struct disk_stream **out, struct lathe_err *err);
void disk_stream_free(struct disk_stream *s);
/* Bytes of weights that are in memory at least: three layers. */
uint64_t disk_stream_least(const struct disk_stream *s);

struct disk_stream_plan {
    uint64_t kept_bytes;   /* that stay */
    uint64_t window_bytes; /* of those that come and go, in memory at once */
    uint64_t
        read_bytes; /* from the disk for each pass; where experts are chosen, for a pass of one token on average */
    double rate; /* bytes a second that the disk gave; 0: not yet measured */
};

/* Gives the weights `bytes` of memory, at least disk_stream_least, reads in what stays and measures the disk. Once; later calls change
 * nothing. */
void disk_stream_start(struct disk_stream *s, uint64_t bytes);
/* Since then. */
struct disk_stream_plan disk_stream_get(const struct disk_stream *s);
/* The pass is at layer `at` (n_layer: the output head) and goes on with `next`. Does not wait for the disk. */
void disk_stream_at(struct disk_stream *s, int at, int next);
#endif
