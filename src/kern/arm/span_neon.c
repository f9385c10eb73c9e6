/* Spans of keys and values in 4 and 8 bits for NEON; bit for bit those of kern/ref/span_c.c. A group of 16 lanes is four registers. */
#include <arm_neon.h>
#define MAX_TOK 6
#define MAX_PAIR 6
#define UNPACKED_TOK 4
#define UNPACKED_TILE tile_f32_neon
#include "kern/pack_span.h"
#include "kern/tile_span.h"

enum { QUARTERS = 4 };

/* Scales and least values of rows k .. k + 15, alternating. */
ALWAYS void load_head(const uint8_t *head, int k, float out[2 * LANES])
{
    for (int i = 0; i < 8; i++) {
        uint16x4_t four = vreinterpret_u16_u8(vld1_u8(head + 4 * k + 8 * i));
        vst1q_f32(out + 4 * i, vcvt_f32_f16(vreinterpret_f16_u16(four)));
    }
}

/* A group of a row. */
ALWAYS void load_codes(enum format_id of, const uint8_t *codes, int group, float32x4_t scale,
                       float32x4_t least, float32x4_t w[QUARTERS])
{
    uint8x16_t bytes = vld1q_u8(codes + (of == FORMAT_Q8_1 ? group : group / 2) * LANES);
    if (of == FORMAT_Q4_1)
        bytes = vandq_u8(vshlq_u8(bytes, vdupq_n_s8((int8_t)(group % 2 * -4))), vdupq_n_u8(15));
    uint16x8_t half[2] = {vmovl_u8(vget_low_u8(bytes)), vmovl_u8(vget_high_u8(bytes))};
    UNROLL for (int q = 0; q < QUARTERS; q++)
    {
        uint16x4_t four = q % 2 ? vget_high_u16(half[q / 2]) : vget_low_u16(half[q / 2]);
        w[q] = vfmaq_f32(least, vcvtq_f32_u32(vmovl_u16(four)), scale);
    }
}

ALWAYS void tile_strip(enum format_id of, const struct strip *s, int first, int n_group, int n)
{
    float32x4_t acc[MAX_PAIR][QUARTERS];
    UNROLL for (int i = 0; i < n * n_group; i++) UNROLL for (int q = 0; q < QUARTERS; q++) acc[i][q] =
        vdupq_n_f32(0);
    struct column x = column_first(s->x, s->x_stride);
    const uint8_t *codes = s->codes;
    for (int k0 = 0; k0 < s->n_row; k0 += LANES) {
        float head[2 * LANES];
        int end = s->n_row - k0 < LANES ? s->n_row - k0 : LANES;
        load_head(s->head, k0, head);
        for (int k = 0; k < end; k++, column_next(&x), codes += s->code_bytes) {
            const float32x4_t scale = vdupq_n_f32(head[2 * k]), least = vdupq_n_f32(head[2 * k + 1]);
            column_begin(&x);
            UNROLL for (int g = 0; g < n_group; g++)
            {
                float32x4_t w[QUARTERS];
                load_codes(of, codes, first + g, scale, least, w);
                UNROLL for (int t = 0; t < n; t++) UNROLL for (int q = 0; q < QUARTERS; q++)
                    acc[t * n_group + g][q] = vfmaq_n_f32(acc[t * n_group + g][q], w[q], column_row(&x, t));
            }
        }
    }
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int g = 0; g < n_group; g++)
        UNROLL for (int q = 0; q < QUARTERS; q++)
            vst1q_f32(s->y + t * s->y_stride + (first + g) * LANES + 4 * q, acc[t * n_group + g][q]);
}

ALWAYS void strip_unpack(enum format_id of, const struct strip *s, int n_group, int k0, int n, float *out)
{
    const uint8_t *codes = s->codes + k0 * s->code_bytes;
    for (int i = 0; i < n; i += LANES) {
        float head[2 * LANES];
        load_head(s->head, k0 + i, head);
        for (int k = 0; k < LANES && i + k < n; k++, codes += s->code_bytes) {
            const float32x4_t scale = vdupq_n_f32(head[2 * k]), least = vdupq_n_f32(head[2 * k + 1]);
            for (int g = 0; g < n_group; g++, out += LANES) {
                float32x4_t w[QUARTERS];
                load_codes(of, codes, g, scale, least, w);
                UNROLL for (int q = 0; q < QUARTERS; q++) vst1q_f32(out + 4 * q, w[q]);
            }
        }
    }
}

TILE_SPAN(tile_span_q4_neon, FORMAT_Q4_1)
TILE_SPAN(tile_span_q8_neon, FORMAT_Q8_1)

ALWAYS void halves_to_floats(const uint16_t *half, int n, float *x)
{
    for (int i = 0; i < n; i += 4)
        vst1q_f32(x + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(half + i))));
}

PACK_SPAN(pack_span_q4_neon, FORMAT_Q4_1)
PACK_SPAN(pack_span_q8_neon, FORMAT_Q8_1)
