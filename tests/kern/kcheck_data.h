/* Data for kernel checks: seeded numbers of seven kinds, inputs that end on a page which may not be touched,
 * outputs between canaries. */
#ifndef LATHE_TESTS_KERN_KCHECK_DATA_H
#define LATHE_TESTS_KERN_KCHECK_DATA_H
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "kern/panel.h"
#include "kern/scalar.h"

enum kind {
    KIND_ZERO,
    KIND_EXTREME,
    KIND_ALTERNATING,
    KIND_DENORMAL,
    KIND_RANDOM,
    KIND_NAN,
    KIND_INF,
    N_KIND
};

static uint64_t rng_state;

static inline uint64_t rng(void)
{
    uint64_t z = rng_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
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

/* Near normal: the sum of four uniform numbers, with a magnitude that now and then is far off. */
static inline float random_float(void)
{
    float f = 0;
    for (int i = 0; i < 4; i++)
        f += (float)(int32_t)(uint32_t)rng() * 0x1p-31f;
    return rng() % 32 ? f : ldexpf(f, (int)(rng() % 40) - 20);
}

static inline float kind_float(enum kind kind, int i)
{
    switch (kind) {
    case KIND_ZERO:
        return i % 3 ? 0.0f : -0.0f;
    case KIND_EXTREME:
        return (i % 2 ? -1.0f : 1.0f) * (rng() % 2 ? 3.4028234e38f : 1e-38f);
    case KIND_ALTERNATING:
        return i % 2 ? -1.0f : 1.0f;
    case KIND_DENORMAL:
        return scalar_from_bits((uint32_t)(rng() % 0x800000) | (uint32_t)(rng() & 1) << 31);
    case KIND_NAN:
        return rng() % 23 ? random_float() : (rng() % 2 ? NAN : -NAN);
    case KIND_INF:
        return rng() % 23 ? random_float() : (rng() % 2 ? INFINITY : -INFINITY);
    default:
        return random_float();
    }
}

static inline uint16_t kind_half(enum kind kind, int i)
{
    switch (kind) {
    case KIND_ZERO:
        return i % 2 ? 0 : 0x8000;
    case KIND_EXTREME:
        return i % 2 ? 0x7bff : 0xfbff;
    case KIND_ALTERNATING:
        return i % 2 ? 0x3c00 : 0xbc00;
    case KIND_DENORMAL:
        return (uint16_t)(rng() & 0x83ff);
    case KIND_NAN:
        return (uint16_t)(rng() % 7 ? rng() & 0xbfff : 0x7e01);
    case KIND_INF:
        return (uint16_t)(rng() % 7 ? rng() & 0xbfff : 0x7c00 | (rng() & 0x8000));
    default:
        return (uint16_t)(rng() & 0xbfff);
    }
}

/* Integers of blocks: extremes and alternating ones drive the sums to their ends. */
static inline uint8_t kind_byte(enum kind kind, int i)
{
    switch (kind) {
    case KIND_ZERO:
        return 0;
    case KIND_EXTREME:
        return 0xff;
    case KIND_ALTERNATING:
        return i % 2 ? 0xff : 0x80;
    default:
        return (uint8_t)rng();
    }
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

static inline struct guarded guarded_floats(enum kind kind, size_t n)
{
    struct guarded g = guarded_new(n * 4);
    for (size_t i = 0; i < n; i++) {
        float f = kind_float(kind, (int)i);
        memcpy(g.p + 4 * i, &f, 4);
    }
    return g;
}

/* A panel of n_row rows of file blocks; n_row < 16 leaves rows that panel_pack fills. */
static inline struct guarded guarded_panel(enum format_id format, enum kind kind, int n_row, int n_col)
{
    const struct format *f = format_by_id((uint32_t)format);
    size_t row_bytes = (size_t)(n_col / f->block_n * f->block_bytes);
    uint8_t *rows = malloc((size_t)n_row * row_bytes);
    int n_scale = format == FORMAT_Q4_1 ? 2 : format == FORMAT_Q4_0 || format == FORMAT_Q8_0 ? 1 : 0;
    for (size_t at = 0; at < (size_t)n_row * row_bytes; at += (size_t)f->block_bytes) {
        float value = kind_float(kind, (int)(at / 4));
        for (int i = 0; i < f->block_bytes; i++)
            rows[at + (size_t)i] = kind_byte(kind, i);
        for (int i = 0; i < n_scale; i++) {
            uint16_t h = kind_half(kind, (int)at + i);
            memcpy(rows + at + (size_t)i * 2, &h, 2);
        }
        uint16_t half = kind_half(kind, (int)at / 2), high = (uint16_t)(scalar_bits(value) >> 16);
        if (format == FORMAT_F32)
            memcpy(rows + at, &value, 4);
        else if (n_scale == 0)
            memcpy(rows + at, format == FORMAT_F16 ? &half : &high, 2);
    }
    struct guarded g = guarded_new(panel_bytes(format, n_col));
    panel_pack(format, rows, row_bytes, n_row, n_col, g.p);
    free(rows);
    return g;
}

/* Activations of n_tok tokens as plain C quantizes them, groups at group_stride; the last group's absent
 * blocks beyond n_block do not exist. */
static inline struct guarded guarded_act(enum kind kind, int n_tok, int n_block, int64_t group_stride)
{
    int n_group = (n_tok + ACT_GROUP - 1) / ACT_GROUP, n_col = n_block * ACT_BLOCK;
    struct guarded x = guarded_floats(kind, (size_t)n_tok * (size_t)n_col);
    size_t n = (size_t)((n_group - 1) * group_stride + n_block);
    struct guarded g = guarded_new(n * sizeof(struct act_block));
    memset(g.p, 0x7f, g.n_bytes);
    for (int i = 0; i < n_group; i++) {
        int n_here = n_tok - i * ACT_GROUP < ACT_GROUP ? n_tok - i * ACT_GROUP : ACT_GROUP;
        quantize_c((float *)x.p + i * ACT_GROUP * n_col, n_col, n_here, n_col,
                   (struct act_block *)g.p + i * group_stride);
    }
    guarded_free(&x);
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

/* The same bits. Which NaN comes out of two is up to the compiler's order of operands: any NaN equals any. */
static inline bool same_float(float a, float b)
{
    return scalar_bits(a) == scalar_bits(b) || (a != a && b != b);
}

static inline bool same_half(uint16_t a, uint16_t b)
{
    return a == b || ((a & 0x7fff) > 0x7c00 && (b & 0x7fff) > 0x7c00);
}
#endif
