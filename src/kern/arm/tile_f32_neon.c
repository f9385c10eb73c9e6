/* f32 tiles for NEON: a group of 16 rows is four registers, the sums are 24 of 32. */
#include <arm_neon.h>
#define MAX_TOK 6
#define MAX_PAIR 6
#include "kern/tile_f32.h"

enum { QUARTERS = 4 };

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

ALWAYS void tile_n(enum format_id of, const struct tile *c, int n_group, int n)
{
    float32x4_t acc[MAX_PAIR][QUARTERS];
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int g = 0; g < n_group; g++)
        UNROLL for (int q = 0; q < QUARTERS; q++) acc[t * n_group + g][q] =
            c->add ? vld1q_f32(c->y + t * c->y_stride + g * LANES + 4 * q) : vdupq_n_f32(0);
    struct column x = column_first(c->x, c->x_stride);
    for (int k = 0; k < c->n_k; k++, column_next(&x)) {
        column_begin(&x);
        UNROLL for (int g = 0; g < n_group; g++)
        {
            float32x4_t w[QUARTERS];
            load_lanes(c->w, k * c->w_stride + g * c->w_group, of, w);
            UNROLL for (int t = 0; t < n; t++) UNROLL for (int q = 0; q < QUARTERS; q++)
                acc[t * n_group + g][q] = vfmaq_n_f32(acc[t * n_group + g][q], w[q], column_row(&x, t));
        }
    }
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int g = 0; g < n_group; g++)
        UNROLL for (int q = 0; q < QUARTERS; q++)
            vst1q_f32(c->y + t * c->y_stride + g * LANES + 4 * q, acc[t * n_group + g][q]);
}

TILE(tile_f32_neon, FORMAT_F32)
TILE(tile_f16_neon, FORMAT_F16)
TILE(tile_bf16_neon, FORMAT_BF16)
