/* f32 tiles for NEON: groups of 16 rows as four registers times tokens, up to 6 of such accumulators, 24 of the 32
 * registers. Few tokens take several groups at once, to hide the latency of a fused multiply-add. */
#include <arm_neon.h>
#include "kern/panel.h"

#define UNROLL _Pragma("GCC unroll 16")
#define ALWAYS __attribute__((always_inline)) static inline
enum { MAX_PAIR = 6, QUARTERS = 4 };

/* What a call is about, with w and y moved on from group to group. */
struct tile {
    const uint8_t *w;
    int64_t w_stride, w_group;
    int n_k;
    const float *x;
    int64_t x_stride;
    bool add;
    float *y;
    int64_t y_stride;
};

/* Elements i .. i + 15. */
ALWAYS void load_lanes(const uint8_t *w, int64_t i, enum format_id of, float32x4_t out[QUARTERS])
{
    UNROLL for (int q = 0; q < QUARTERS; q++)
    {
        if (of == FORMAT_F32) {
            out[q] = vld1q_f32((const float *)w + i + 4 * q);
            continue;
        }
        uint16x4_t four = vld1_u16((const uint16_t *)w + i + 4 * q);
        out[q] = of == FORMAT_F16 ? vcvt_f32_f16(vreinterpret_f16_u16(four))
                                  : vreinterpretq_f32_u32(vshll_n_u16(four, 16));
    }
}

/* n_group groups times n tokens, both constants; n_tok <= n are stored, the absent ones repeat the first. */
ALWAYS void tile_n(enum format_id of, const struct tile *c, int n_group, int n, int n_tok)
{
    float32x4_t acc[MAX_PAIR][QUARTERS];
    const float *xt[MAX_PAIR];
    UNROLL for (int t = 0; t < n; t++)
    {
        int u = t < n_tok ? t : 0;
        xt[t] = c->x + u * c->x_stride;
        UNROLL for (int g = 0; g < n_group; g++) UNROLL for (int q = 0; q < QUARTERS; q++)
            acc[t * n_group + g][q] =
                c->add ? vld1q_f32(c->y + u * c->y_stride + g * LANES + 4 * q) : vdupq_n_f32(0);
    }
    for (int k = 0; k < c->n_k; k++)
        UNROLL for (int g = 0; g < n_group; g++)
        {
            float32x4_t w[QUARTERS];
            load_lanes(c->w, k * c->w_stride + g * c->w_group, of, w);
            UNROLL for (int t = 0; t < n; t++) UNROLL for (int q = 0; q < QUARTERS; q++)
                acc[t * n_group + g][q] = vfmaq_n_f32(acc[t * n_group + g][q], w[q], xt[t][k]);
        }
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int g = 0; g < n_group; g++) if (t < n_tok)
    {
        UNROLL for (int q = 0; q < QUARTERS; q++)
            vst1q_f32(c->y + t * c->y_stride + g * LANES + 4 * q, acc[t * n_group + g][q]);
    }
}

ALWAYS void tile_groups(enum format_id of, struct tile c, int n_group, int n_tok)
{
    while (n_group > 0) {
        int n_here = 1;
        if (n_tok == 1 && n_group >= 4)
            tile_n(of, &c, n_here = 4, 1, 1);
        else if (n_tok == 1)
            tile_n(of, &c, 1, 1, 1);
        else if (n_tok <= 3 && n_group >= 2)
            tile_n(of, &c, n_here = 2, 3, n_tok);
        else if (n_tok <= 3)
            tile_n(of, &c, 1, 3, n_tok);
        else if (n_tok == 4)
            tile_n(of, &c, 1, 4, 4);
        else
            tile_n(of, &c, 1, 6, n_tok);
        n_group -= n_here;
        c.w += n_here * c.w_group * (of == FORMAT_F32 ? 4 : 2);
        c.y += n_here * LANES;
    }
}

ALWAYS void tile_all(enum format_id of, struct tile c, int n_group, int n_tok)
{
    while (n_tok > 0) {
        int n_here = n_tok > 6 ? (n_tok <= 8 ? 4 : 6) : n_tok;
        tile_groups(of, c, n_group, n_here);
        n_tok -= n_here;
        c.x += n_here * c.x_stride;
        c.y += n_here * c.y_stride;
    }
}

#define TILE(name, of)                                                                                 \
    void name(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k, const float *x,  \
              int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)                       \
    {                                                                                                  \
        tile_all(of, (struct tile){w, w_stride, w_group, n_k, x, x_stride, add, y, y_stride}, n_group, \
                 n_tok);                                                                               \
    }

TILE(tile_f32_neon, FORMAT_F32)
TILE(tile_f16_neon, FORMAT_F16)
TILE(tile_bf16_neon, FORMAT_BF16)
