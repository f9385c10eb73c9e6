/* Outs of the NEON tile (tile_neon.h) by dot products: 4 rows of one token each. The four bytes of a token are a lane
 * of the register that holds those of its group. */
#ifndef LATHE_KERN_DOT_NEON_H
#define LATHE_KERN_DOT_NEON_H

ALWAYS int out_group(int n, int o)
{
    return o / ACT_GROUP;
}

/* Numbers of 4 rows, of 4 tokens, as out o of n needs them. */
ALWAYS float32x4_t out_rows_f32(float32x4_t v, int n, int o)
{
    return v;
}

ALWAYS int32x4_t out_rows_s32(int32x4_t v, int n, int o)
{
    return v;
}

ALWAYS float32x4_t out_tokens_f32(float32x4_t v, int n, int o)
{
    return vdupq_n_f32(v[o % ACT_GROUP]);
}

ALWAYS int32x4_t out_tokens_s32(int32x4_t v, int n, int o)
{
    return vdupq_n_s32(v[o % ACT_GROUP]);
}

ALWAYS float32x4_t out_of_token(const float32x4_t *outs, int n, int t)
{
    return outs[t];
}

/* Lane t of x by w. Without dot products the products of a byte pair still fit 16 bits: 2 * 128 * 127. */
ALWAYS int32x4_t dot_lane(int32x4_t sum, int8x16_t w, int8x16_t x, int t)
{
#ifdef __ARM_FEATURE_DOTPROD
    switch (t) { /* literals, for the compilers that want them */
    case 0:
        return vdotq_laneq_s32(sum, w, x, 0);
    case 1:
        return vdotq_laneq_s32(sum, w, x, 1);
    case 2:
        return vdotq_laneq_s32(sum, w, x, 2);
    default:
        return vdotq_laneq_s32(sum, w, x, 3);
    }
#else
    int8x16_t b = vreinterpretq_s8_s32(vdupq_n_s32(vreinterpretq_s32_s8(x)[t]));
    int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(b)), high = vmull_high_s8(w, b);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
#endif
}

/* Lines in the order in which planes of 4 bits are loaded once. */
static const int line_order[8] = {0, 4, 1, 5, 2, 6, 3, 7};

/* sum[quarter][token] += operands from..to of quarters p.. times n tokens. */
ALWAYS void dot_lines(struct form f, const struct chunk *c, const uint8_t *body, int p, int i, int b,
                      int from, int to, int n_quarter, int n, int32x4_t *sum)
{
    UNROLL for (int k = from; k < to; k++)
    {
        const int j = to - from == 8 && form_plane(f.ints, 0).bits == 4 ? line_order[k] : k;
        int8x16_t x[TILE_TOK / ACT_GROUP];
        UNROLL for (int g = 0; g < n; g += ACT_GROUP) x[g / ACT_GROUP] =
            vld1q_s8((c->x + b + g / ACT_GROUP * c->stride)->q[j][0]);
        UNROLL for (int r = 0; r < n_quarter; r++)
        {
            int8x16_t w = operand(f, c, body, p + r, i, b, j);
            UNROLL for (int t = 0; t < n; t++) sum[r * n + t] =
                dot_lane(sum[r * n + t], w, x[t / ACT_GROUP], t % ACT_GROUP);
        }
    }
}

enum { PAIRS_GROUP_BYTES = 0, PAIRS_BYTES = 1 };

ALWAYS void pairs_of(const struct chunk *c, int n, int8_t *pairs)
{
}
#endif
