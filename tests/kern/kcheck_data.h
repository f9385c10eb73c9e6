/* Memory for kernel checks: a printed seed, inputs that end on a page which may not be touched, outputs between
 * canaries. What is in them comes from kern/kern_case.h. */
#ifndef LATHE_TESTS_KERN_KCHECK_DATA_H
#define LATHE_TESTS_KERN_KCHECK_DATA_H
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "kern/kern_case.h"
#include "kern/panel.h"
#include "kern/scalar.h"

static uint64_t rng_state;

static inline uint64_t rng(void)
{
    return kern_random(&rng_state);
}

/* KCHECK_SEED, or the clock; printed, so that a failure can be run again. */
static inline uint64_t rng_start(void)
{
    const char *text = getenv("KCHECK_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
    rng_state = seed;
    printf("seed: KCHECK_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static inline float random_float(void)
{
    return kern_random_float(&rng_state);
}

/* ---- guarded memory ---- */

struct guarded {
    uint8_t *map, *p; /* p + n_bytes is the start of a page without access */
    size_t map_bytes, n_bytes;
};

static inline struct guarded guarded_new(size_t n_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (n_bytes + page - 1) / page * page;
    struct guarded g = {.map_bytes = room + page, .n_bytes = n_bytes};
    void *map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect((uint8_t *)map + room, page, PROT_NONE)) {
        perror("guarded_new");
        exit(1);
    }
    g.map = map;
    g.p = g.map + room - n_bytes;
    return g;
}

static inline void guarded_free(struct guarded *g)
{
    if (g->map)
        munmap(g->map, g->map_bytes);
    g->map = g->p = NULL;
}

/* Activations of n_tok tokens as plain C quantizes them, groups at group_stride; the last group's absent
 * blocks beyond n_block do not exist. */
static inline struct guarded guarded_act(enum kern_kind kind, int n_tok, int n_block, int64_t group_stride)
{
    int n_group = (n_tok + ACT_GROUP - 1) / ACT_GROUP;
    struct guarded g =
        guarded_new((size_t)((n_group - 1) * group_stride + n_block) * sizeof(struct act_block));
    kern_fill_act(kind, n_tok, n_block, group_stride, &rng_state, (struct act_block *)g.p);
    return g;
}

/* ---- outputs between canaries ---- */

enum { RING_BYTES = 256 };

struct ringed {
    uint8_t *raw, *p;
    size_t n_bytes;
};

static inline struct ringed ringed_new(size_t n_bytes)
{
    struct ringed r = {.raw = aligned_alloc(64, (n_bytes + 2 * RING_BYTES + 63) / 64 * 64),
                       .n_bytes = n_bytes};
    r.p = r.raw + RING_BYTES;
    for (size_t i = 0; i < n_bytes + 2 * RING_BYTES; i++)
        r.raw[i] = (uint8_t)(i * 7 + 3);
    return r;
}

static inline void ringed_free(struct ringed *r)
{
    free(r->raw);
    r->raw = r->p = NULL;
}

static inline bool ringed_whole(const struct ringed *r)
{
    for (size_t i = 0; i < RING_BYTES; i++)
        if (r->raw[i] != (uint8_t)(i * 7 + 3) ||
            r->p[r->n_bytes + i] != (uint8_t)((i + RING_BYTES + r->n_bytes) * 7 + 3))
            return false;
    return true;
}
#endif
