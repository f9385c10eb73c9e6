/* The AVX2 int8 tile: 16 rows as two halves of 8 lanes times groups of 4 tokens, made for each form.
 *
 * vpmaddubsw multiplies unsigned weights with int8 of -127..127, two products a lane, in int16. With nibbles
 * (0..15) a block of 32 columns is eight lines and at most 8 * 2 * 15 * 127 = 30480: it sums in int16, exactly, and
 * one vpmaddwd per block widens it. Wider integers widen after fewer lines: 5 bits (31) and MXFP4's values plus 16
 * (28) after four, 6 bits (63) after two, magnitudes of IQ2 and IQ3 plus 64 after each. Weights of 8 bits, IQ4's values among them, are two planes of nibbles,
 * 16 * high + low: as many instructions as abs/sign with a vpmaddwd each time, and no -128 to fear. Integer scales
 * of 16 columns are the other operand of the vpmaddwd that widens.
 *
 * Per token and 8 rows a 4-bit block is 8 multiplies, 7 adds and some 5 more; multiplies go to 2 of Zen 4's 4
 * vector ports and all 20 share the 4: 80 % of the vpmaddubsw peak is the bound. */
#ifndef LATHE_KERN_TILE_AVX2_H
#define LATHE_KERN_TILE_AVX2_H
#include "kern/x86/tile_ymm.h"

/* The int16 sums of one block: [token][plane]; a plane is a half of the rows (4 bits) or a nibble of one half
 * (8 bits). */
struct sums_avx2 {
    __m256i v[ACT_GROUP][2];
};

/* sum[t][p] += w[p] . x[t] for both planes; `first` starts the sums. */
ALWAYS void dot_line(struct sums_avx2 *s, __m256i w0, __m256i w1, const int8_t x[ACT_GROUP][4], int n,
                     bool first)
{
    UNROLL for (int t = 0; t < n; t++)
    {
        __m256i b = broadcast4(x[t]);
        __m256i p0 = _mm256_maddubs_epi16(w0, b), p1 = _mm256_maddubs_epi16(w1, b);
        s->v[t][0] = first ? p0 : _mm256_add_epi16(s->v[t][0], p0);
        s->v[t][1] = first ? p1 : _mm256_add_epi16(s->v[t][1], p1);
        PIN(s->v[t][0]);
        PIN(s->v[t][1]);
    }
}

/* ---- 4 bits: both halves of the rows at once ---- */

ALWAYS void block_nibbles(struct form f, const struct scales_avx2 scales[2], const uint8_t *body, int i,
                          const struct act_block *x, int n, __m256 acc[][2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    struct sums_avx2 s;
    UNROLL for (int k = 0; k < 8; k++)
    {
        int j = line_order[0][k];
        dot_line(&s, line_avx2(f, body, 0, i, j), line_avx2(f, body, 1, i, j), x->q[j], n, k == 0);
    }
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int p = 0; p < 2; p++)
    {
        __m256i dot = _mm256_madd_epi16(s.v[t][p], ones);
        if (f.offset)
            dot = _mm256_add_epi32(dot, _mm256_set1_epi32(x->n8sum[t]));
        if (form_has_zero(f))
            dot = _mm256_add_epi32(dot, _mm256_madd_epi16(broadcast4(x->half[t]), scales[p].mn));
        acc[t][p] = add_block(f, &scales[p], dot, x, t, acc[t][p]);
    }
}

/* ---- 8 bits: two planes of half p ---- */

/* Weights are 128 too large: 16 * (dot of high nibbles - 8 * sum of x) + dot of low nibbles. */
ALWAYS void block_planes(struct form f, const struct scales_avx2 *scales, const uint8_t *body, int p, int i,
                         const struct act_block *x, int n, __m256 acc[][2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    struct sums_avx2 s;
    UNROLL for (int k = 0; k < 8; k++)
    {
        int j = line_order[f.ints == INTS_8][k];
        __m256i low, high;
        planes_avx2(f, body, p, i, j, &low, &high);
        dot_line(&s, low, high, x->q[j], n, k == 0);
    }
    UNROLL for (int t = 0; t < n; t++)
    {
        __m256i low = _mm256_madd_epi16(s.v[t][0], ones), high = _mm256_madd_epi16(s.v[t][1], ones);
        high = _mm256_slli_epi32(_mm256_add_epi32(high, _mm256_set1_epi32(x->n8sum[t])), 4);
        acc[t][p] = add_block(f, scales, _mm256_add_epi32(low, high), x, t, acc[t][p]);
    }
}

/* ---- the others: sums of half p that are widened before the block's end ---- */

/* dot[t] (+)= columns 16 h .. 16 h + 15 of half p with n tokens, times sc. */
ALWAYS void half_dots(struct form f, const uint8_t *body, int p, int i, int h, __m256i sc,
                      const struct act_block *x, int n, bool first, __m256i *dot)
{
    const bool wide = f.offset == 64; /* IQ2 and IQ3: up to 126 */
    const int n_line = wide ? 1 : f.ints == INTS_6 ? 2 : 4;
    UNROLL for (int from = 4 * h; from < 4 * h + 4; from += n_line)
    {
        __m256i sum[ACT_GROUP];
        UNROLL for (int j = from; j < from + n_line; j++)
        {
            __m256i w = line_avx2(f, body, p, i, j);
            UNROLL for (int t = 0; t < n; t++)
            {
                __m256i product = _mm256_maddubs_epi16(w, broadcast4(x->q[j][t]));
                sum[t] = j == from ? product : _mm256_add_epi16(sum[t], product);
                PIN(sum[t]);
            }
        }
        UNROLL for (int t = 0; t < n; t++)
        {
            __m256i more = _mm256_madd_epi16(sum[t], sc);
            dot[t] = first && from == 4 * h ? more : _mm256_add_epi32(dot[t], more);
        }
    }
}

ALWAYS void block_half(struct form f, const struct scales_avx2 *s, const uint8_t *body, int p, int i,
                       const struct act_block *x, int n, __m256 acc[][2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i dot[ACT_GROUP];
    half_dots(f, body, p, i, 0, f.math == MATH_INT ? s->sc[0] : ones, x, n, true, dot);
    half_dots(f, body, p, i, 1, f.math == MATH_INT ? s->sc[1] : ones, x, n, false, dot);
    UNROLL for (int t = 0; t < n; t++)
    {
        if (f.math == MATH_32) {
            dot[t] = _mm256_add_epi32(dot[t], minus_offset(f, x->n8sum[t]));
            acc[t][p] = add_block(f, s, dot[t], x, t, acc[t][p]);
            continue;
        }
        acc[t][p] = add_scaled(f, s, dot[t], x, t, acc[t][p]);
    }
}

/* Scales of 16 columns that are no small integers: each half's dot is a number of its own. */
ALWAYS void block_two(struct form f, const struct scales_avx2 *s, const uint8_t *body, int p, int i,
                      const struct act_block *x, int n, __m256 acc[][2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256 both[ACT_GROUP];
    UNROLL for (int h = 0; h < 2; h++)
    {
        __m256i dot[ACT_GROUP];
        half_dots(f, body, p, i, h, ones, x, n, true, dot);
        UNROLL for (int t = 0; t < n; t++)
        {
            __m256 sum =
                _mm256_cvtepi32_ps(_mm256_add_epi32(dot[t], _mm256_set1_epi32(-f.offset * x->half[t][h])));
            both[t] = h == 0 ? _mm256_mul_ps(sum, s->w[0]) : _mm256_fmadd_ps(sum, s->w[1], both[t]);
        }
    }
    UNROLL for (int t = 0; t < n; t++) acc[t][p] =
        _mm256_fmadd_ps(both[t], _mm256_set1_ps(x->d[t]), acc[t][p]);
}

/* ---- the tile ---- */

ALWAYS void tile_block(struct form f, const uint8_t *head, int slot, const uint8_t *body, int i,
                       const struct act_block *x, int n, __m256 acc[][2])
{
    if (f.ints == INTS_4) {
        struct scales_avx2 both[2];
        scales_avx2(f, head, slot, body, 0, i, &both[0]);
        scales_avx2(f, head, slot, body, 1, i, &both[1]);
        block_nibbles(f, both, body, i, x, n, acc);
        return;
    }
    UNROLL for (int p = 0; p < 2; p++)
    {
        struct scales_avx2 s;
        scales_avx2(f, head, slot, body, p, i, &s);
        if (f.ints == INTS_8 || f.ints == INTS_IQ4 || f.ints == INTS_NF4)
            block_planes(f, &s, body, p, i, x, n, acc);
        else if (f.math == MATH_16)
            block_two(f, &s, body, p, i, x, n, acc);
        else
            block_half(f, &s, body, p, i, x, n, acc);
    }
}

#endif
