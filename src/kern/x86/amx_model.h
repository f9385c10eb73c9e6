/* The tile instructions of AMX in plain C, after the pseudo code of Intel's Software Developer's Manual (volume 2: LDTILECFG,
 * TILELOADD, TILESTORED, TILEZERO, TDPBSSD and its kin, TDPBF16PS), faults included. Twins of AMX kernels (kern.h) run on it.
 *
 * An instruction that would fault names the fault in `fault` and does nothing; the first one stays. */
#ifndef LATHE_KERN_AMX_MODEL_H
#define LATHE_KERN_AMX_MODEL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { AMX_N_TILE = 8, AMX_MAX_ROW = 16, AMX_MAX_COLSB = 64 };

/* What LDTILECFG reads. */
struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t colsb[16]; /* bytes of a row; of tiles 8..15, which there are not, 0 */
    uint8_t rows[16];
};
_Static_assert(sizeof(struct amx_config) == 64, "LDTILECFG reads 64 bytes");

struct amx_model {
    bool configured;
    struct amx_config config;
    uint8_t tile[AMX_N_TILE][AMX_MAX_ROW][AMX_MAX_COLSB];
    const char *fault;
};

static inline bool amx_faults(struct amx_model *m, bool fault, const char *what)
{
    if (fault && !m->fault)
        m->fault = what;
    return fault;
}

static inline bool amx_any(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return true;
    return false;
}

static inline void amx_model_release(struct amx_model *m)
{
    memset(m->tile, 0, sizeof m->tile);
    m->config = (struct amx_config){0};
    m->configured = false;
}

static inline void amx_model_config(struct amx_model *m, const struct amx_config *c)
{
    if (amx_faults(m, c->palette > 1, "#GP: palette"))
        return;
    if (c->palette == 0) {
        amx_model_release(m);
        return;
    }
    if (amx_faults(m, amx_any(c->reserved, sizeof c->reserved), "#GP: reserved bytes"))
        return;
    for (int t = 0; t < 16; t++) {
        if (amx_faults(m, t >= AMX_N_TILE && (c->colsb[t] || c->rows[t]), "#GP: tile that does not exist") ||
            amx_faults(m, c->colsb[t] > AMX_MAX_COLSB, "#GP: bytes of a row") ||
            amx_faults(m, c->rows[t] > AMX_MAX_ROW, "#GP: rows") ||
            amx_faults(m, !c->colsb[t] != !c->rows[t], "#GP: rows without bytes or bytes without rows"))
            return;
    }
    memset(m->tile, 0, sizeof m->tile);
    m->config = *c;
    m->configured = true;
}

/* Whether the tile is there. */
static inline bool amx_tile_faults(struct amx_model *m, int t)
{
    return amx_faults(m, !m->configured, "#UD: tiles are not configured") ||
           amx_faults(m, t < 0 || t >= AMX_N_TILE || !m->config.rows[t], "#UD: tile is not configured");
}

static inline void amx_model_zero(struct amx_model *m, int t)
{
    if (!amx_tile_faults(m, t))
        memset(m->tile[t], 0, sizeof m->tile[t]);
}

static inline void amx_model_load(struct amx_model *m, int t, const void *base, ptrdiff_t stride)
{
    if (amx_tile_faults(m, t))
        return;
    memset(m->tile[t], 0, sizeof m->tile[t]); /* what lies outside of the configured part */
    for (int r = 0; r < m->config.rows[t]; r++)
        memcpy(m->tile[t][r], (const uint8_t *)base + r * stride, m->config.colsb[t]);
}

static inline void amx_model_store(struct amx_model *m, int t, void *base, ptrdiff_t stride)
{
    if (amx_tile_faults(m, t))
        return;
    for (int r = 0; r < m->config.rows[t]; r++)
        memcpy((uint8_t *)base + r * stride, m->tile[t][r], m->config.colsb[t]);
}

/* What all products of tiles ask for. */
static inline bool amx_dot_faults(struct amx_model *m, int dst, int a, int b)
{
    const struct amx_config *c = &m->config;
    return amx_tile_faults(m, dst) || amx_tile_faults(m, a) || amx_tile_faults(m, b) ||
           amx_faults(m, dst == a || dst == b || a == b, "#UD: a tile twice") ||
           amx_faults(m, c->colsb[dst] % 4 || c->colsb[a] % 4 || c->colsb[b] % 4,
                      "#UD: bytes of a row are no words") ||
           amx_faults(m, c->rows[dst] != c->rows[a], "#UD: rows of the sums and of the first factor") ||
           amx_faults(m, c->colsb[a] / 4 != c->rows[b],
                      "#UD: words of the first factor, rows of the second") ||
           amx_faults(m, c->colsb[dst] != c->colsb[b], "#UD: bytes of the sums and of the second factor");
}

/* TDPBSUD: bytes of a are signed, of b unsigned; four products a word, in int32 that wraps around. */
static inline void amx_model_dpbsud(struct amx_model *m, int dst, int a, int b)
{
    if (amx_dot_faults(m, dst, a, b))
        return;
    const struct amx_config *c = &m->config;
    for (int r = 0; r < c->rows[dst]; r++)
        for (int k = 0; k < c->colsb[a] / 4; k++)
            for (int n = 0; n < c->colsb[dst] / 4; n++) {
                uint32_t sum;
                memcpy(&sum, &m->tile[dst][r][4 * n], 4);
                for (int i = 0; i < 4; i++)
                    sum += (uint32_t)((int8_t)m->tile[a][r][4 * k + i] * m->tile[b][k][4 * n + i]);
                memcpy(&m->tile[dst][r][4 * n], &sum, 4);
            }
}
/* fma with denormals read and written as zero, whatever MXCSR says. */
static inline float amx_flush(float v)
{
    return __builtin_fabsf(v) < 0x1p-126f ? __builtin_copysignf(0, v) : v;
}

static inline float amx_fma(float a, float b, float acc)
{
    a = amx_flush(a);
    b = amx_flush(b);
    acc = amx_flush(acc);
    float v = __builtin_fmaf(a, b, acc);
    /* Rounded up to the smallest normal number, but below it with an exponent that has no bound. */
    if (__builtin_fabsf(v) == 0x1p-126f &&
        __builtin_fabs((double)a * (double)b + (double)acc) < 0x1p-126 * (1 - 0x1p-25))
        return __builtin_copysignf(0, v);
    return amx_flush(v);
}

static inline float amx_bf16(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    uint32_t bits = (uint32_t)h << 16;
    float v;
    memcpy(&v, &bits, 4);
    return v;
}

/* TDPBF16PS: sums of the even and of the odd products of a row, then both of them to dst. */
static inline void amx_model_dpbf16ps(struct amx_model *m, int dst, int a, int b)
{
    if (amx_dot_faults(m, dst, a, b))
        return;
    const struct amx_config *c = &m->config;
    for (int r = 0; r < c->rows[dst]; r++)
        for (int n = 0; n < c->colsb[dst] / 4; n++) {
            float sum[2] = {0}, v;
            for (int k = 0; k < c->colsb[a] / 4; k++)
                for (int i = 0; i < 2; i++)
                    sum[i] = amx_fma(amx_bf16(&m->tile[a][r][4 * k + 2 * i]),
                                     amx_bf16(&m->tile[b][k][4 * n + 2 * i]), sum[i]);
            memcpy(&v, &m->tile[dst][r][4 * n], 4);
            v = amx_flush(amx_flush(v) + amx_flush(sum[0] + sum[1]));
            memcpy(&m->tile[dst][r][4 * n], &v, 4);
        }
}
#endif
