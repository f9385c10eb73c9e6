/* Outs of the NEON tile (tile_neon.h) by matrix products: 2 rows of 2 tokens each, 8 columns an instruction. A line of a
 * panel has 4 columns of 4 rows: two of them, interleaved, are 8 columns of rows 0 and 1, and of rows 2 and 3; for 4
 * bits that is done before the nibbles are taken apart. Activations are interleaved the same way once for all rows. */
#ifndef LATHE_KERN_MMLA_NEON_H
#define LATHE_KERN_MMLA_NEON_H

/* Out o of n: pair of rows o / (n / 2), pair of tokens o % (n / 2). */
ALWAYS int out_group(int n, int o)
{
    return o % (n / 2) / 2;
}

/* Which of START_OUTS beginnings of sums it takes: the same for all rows. */
enum { START_OUTS = TILE_TOK / 2 };
ALWAYS int out_start(int n, int o)
{
    return o % (n / 2);
}

ALWAYS float32x4_t out_rows_f32(float32x4_t v, int n, int o)
{
    return o < n / 2 ? vzip1q_f32(v, v) : vzip2q_f32(v, v);
}

ALWAYS int32x4_t out_rows_s32(int32x4_t v, int n, int o)
{
    return o < n / 2 ? vzip1q_s32(v, v) : vzip2q_s32(v, v);
}

/* A group of tokens in a block: [4 pairs of operands][2 pairs of tokens][16 bytes], then scales and sums as [2 pairs of tokens][4]. */
enum {
    PAIRS_NUMBERS = 128,
    PAIRS_GROUP_BYTES = PAIRS_NUMBERS + 64,
    PAIRS_BLOCK_BYTES = TILE_TOK / ACT_GROUP * PAIRS_GROUP_BYTES,
    PAIRS_BYTES = CHUNK * PAIRS_BLOCK_BYTES
};

/* The scales (0) or sums (1) of 4 tokens in block b. */
ALWAYS float32x4_t out_number(const struct chunk *c, int b, const float *of, int n, int o, int which)
{
    const int u = o % (n / 2);
    const int8_t *group = c->pairs + b * PAIRS_BLOCK_BYTES + u / 2 * PAIRS_GROUP_BYTES;
    return vreinterpretq_f32_s8(vld1q_s8(group + PAIRS_NUMBERS + 32 * which + u % 2 * 16));
}

ALWAYS int32x4_t out_tokens_s32(int32x4_t v, int n, int o)
{
    return vreinterpretq_s32_s64(vdupq_n_s64(vreinterpretq_s64_s32(v)[o % (n / 2) % 2]));
}

ALWAYS float32x4_t out_of_token(const float32x4_t *outs, int n, int t)
{
    float32x4_t low = outs[t / 2], high = outs[n / 2 + t / 2];
    return t % 2 ? vuzp2q_f32(low, high) : vuzp1q_f32(low, high);
}

ALWAYS int8x16_t interleave(int8x16_t a, int8x16_t b, int high)
{
    int32x4_t x = vreinterpretq_s32_s8(a), y = vreinterpretq_s32_s8(b);
    return vreinterpretq_s8_s32(high ? vzip2q_s32(x, y) : vzip1q_s32(x, y));
}

/* Operands 2g and 2g + 1 of rows 2h and 2h + 1 of a quarter. */
ALWAYS int8x16_t row_pair(struct form f, const struct chunk *c, const uint8_t *body, int p, int i, int b,
                          int g, int h)
{
    if (f.ints > INTS_FP4)
        return interleave(operand(f, c, body, p, i, b, 2 * g), operand(f, c, body, p, i, b, 2 * g + 1), h);
    const uint8_t *ints = body + f.scale_bytes + i * f.int_bytes + 128 * (g % 2) + 16 * p;
    uint8x16_t v = vreinterpretq_u8_s8(
        interleave(vreinterpretq_s8_u8(vld1q_u8(ints)), vreinterpretq_s8_u8(vld1q_u8(ints + 64)), h));
    v = g < 2 ? vandq_u8(v, vdupq_n_u8(15)) : vshrq_n_u8(v, 4);
    return form_values(f) ? vqtbl1q_s8(vld1q_s8(form_values(f)), v) : vreinterpretq_s8_u8(v);
}

/* Pairs of operands in the order in which planes of 4 bits are loaded once. */
static const int pair_order[4] = {0, 2, 1, 3};

/* sum[quarter][out] += operands from..to of quarters p.. times n tokens. */
ALWAYS void dot_lines(struct form f, const struct chunk *c, const uint8_t *body, int p, int i, int b,
                      int from, int to, int n_quarter, int n, int32x4_t *sum)
{
    UNROLL for (int k = from / 2; k < to / 2; k++)
    {
        const int g = to - from == 8 && form_plane(f.ints, 0).bits == 4 ? pair_order[k] : k;
        const int8_t *pairs = c->pairs + b * PAIRS_BLOCK_BYTES + 32 * g;
        UNROLL for (int r = 0; r < n_quarter; r++) UNROLL for (int h = 0; h < 2; h++)
        {
            int8x16_t w = row_pair(f, c, body, p + r, i, b, g, h);
            UNROLL for (int u = 0; u < n / 2; u++)
            {
                int32x4_t *s = &sum[r * n + h * (n / 2) + u];
                *s = vmmlaq_s32(*s, w, vld1q_s8(pairs + u / 2 * PAIRS_GROUP_BYTES + u % 2 * 16));
            }
        }
    }
}

ALWAYS void pairs_of(const struct chunk *c, int n, int8_t *pairs)
{
    for (int b = 0; b < c->n_block; b++)
        UNROLL for (int g = 0; g < n / ACT_GROUP; g++)
        {
            int8_t *to = pairs + b * PAIRS_BLOCK_BYTES + g * PAIRS_GROUP_BYTES;
            const struct act_block *x = c->x + b + g * c->stride;
            UNROLL for (int j = 0; j < 8; j += 2)
            {
                int8x16_t even = vld1q_s8(x->q[j][0]), odd = vld1q_s8(x->q[j + 1][0]);
                vst1q_s8(to + 16 * j, interleave(even, odd, 0));
                vst1q_s8(to + 16 * j + 16, interleave(even, odd, 1));
            }
            UNROLL for (int k = 0; k < 4; k++)
            {
                float64x2_t v = vreinterpretq_f64_f32(vld1q_f32(k < 2 ? x->d : x->s));
                vst1q_s8(to + PAIRS_NUMBERS + 16 * k, vreinterpretq_s8_f64(vdupq_n_f64(v[k % 2])));
            }
        }
}
#endif
