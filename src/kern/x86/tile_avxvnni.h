/* The AVX-VNNI int8 tile: the 256-bit tile (tile_ymm.h) with vpdpbusd, which sums four products of a lane in int32 at
 * once. Nothing has to be widened, and 8-bit weights are no two planes of nibbles. Both halves of the rows go over a
 * broadcast together: eight sums are under way, which is what the latency of vpdpbusd takes at two a cycle (Golden
 * Cove, Zen 5). Their accumulators then do not all fit the 16 registers, which costs a load and a store for eight dots.
 *
 * Built with LATHE_TWIN the dot is encoded as AVX512-VL has it: the same sums on a CPU that knows only that. */
#ifndef LATHE_KERN_TILE_AVXVNNI_H
#define LATHE_KERN_TILE_AVXVNNI_H
#include "kern/x86/tile_ymm.h"

#ifdef LATHE_TWIN
#define DOT_BYTES _mm256_dpbusd_epi32
#else
#define DOT_BYTES _mm256_dpbusd_avx_epi32
#endif

/* A block with one sum a token. */
ALWAYS void block_one(struct form f, const struct scales_avx2 scales[2], const uint8_t *body, int i,
                      const struct act_block *x, int n, __m256 acc[][2])
{
    __m256i sum[ACT_GROUP][2];
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int p = 0; p < 2; p++) sum[t][p] =
        form_has_zero(f) ? _mm256_madd_epi16(broadcast4(x->half[t]), scales[p].mn)
        : f.offset       ? minus_offset(f, x->n8sum[t])
                         : _mm256_setzero_si256();
    UNROLL for (int k = 0; k < 8; k++)
    {
        const int j = line_order[f.ints == INTS_8 || f.ints >= INTS_TRITS][k];
        __m256i w0 = line_avx2(f, body, 0, i, j), w1 = line_avx2(f, body, 1, i, j);
        UNROLL for (int t = 0; t < n; t++)
        {
            __m256i b = broadcast4(x->q[j][t]);
            sum[t][0] = DOT_BYTES(sum[t][0], w0, b);
            sum[t][1] = DOT_BYTES(sum[t][1], w1, b);
        }
    }
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int p = 0; p < 2; p++) acc[t][p] =
        add_block(f, &scales[p], sum[t][p], x, t, acc[t][p]);
}

/* half[h][t] = dots of columns 16 h .. 16 h + 15 with operands that are f.offset too large. */
ALWAYS void half_dots(struct form f, const uint8_t *body, int p, int i, const struct act_block *x, int n,
                      __m256i half[2][ACT_GROUP])
{
    UNROLL for (int h = 0; h < 2; h++)
    {
        UNROLL for (int t = 0; t < n; t++) half[h][t] = _mm256_setzero_si256();
        UNROLL for (int j = 4 * h; j < 4 * h + 4; j++)
        {
            __m256i w = line_avx2(f, body, p, i, j);
            UNROLL for (int t = 0; t < n; t++) half[h][t] = DOT_BYTES(half[h][t], w, broadcast4(x->q[j][t]));
        }
    }
}

/* Integer scales: a half's dot is at most 16 * 7 * 127 and fits the words of vpmaddwd. */
ALWAYS void block_ints(struct form f, const struct scales_avx2 *s, const uint8_t *body, int p, int i,
                       const struct act_block *x, int n, __m256 acc[][2])
{
    __m256i half[2][ACT_GROUP];
    half_dots(f, body, p, i, x, n, half);
    UNROLL for (int t = 0; t < n; t++)
    {
        __m256i dot = _mm256_madd_epi16(two_words(half[0][t], half[1][t]), s->pair);
        acc[t][p] = add_scaled(f, s, dot, x, t, acc[t][p]);
    }
}

/* Scales of 16 columns that are no small integers: each half's dot is a number of its own. */
ALWAYS void block_two(struct form f, const struct scales_avx2 *s, const uint8_t *body, int p, int i,
                      const struct act_block *x, int n, __m256 acc[][2])
{
    __m256i half[2][ACT_GROUP];
    half_dots(f, body, p, i, x, n, half);
    UNROLL for (int t = 0; t < n; t++)
    {
        __m256i low = _mm256_add_epi32(half[0][t], _mm256_set1_epi32(-f.offset * x->half[t][0])),
                high = _mm256_add_epi32(half[1][t], _mm256_set1_epi32(-f.offset * x->half[t][1]));
        __m256 both = _mm256_mul_ps(_mm256_cvtepi32_ps(low), s->w[0]);
        both = _mm256_fmadd_ps(_mm256_cvtepi32_ps(high), s->w[1], both);
        acc[t][p] = _mm256_fmadd_ps(both, _mm256_set1_ps(x->d[t]), acc[t][p]);
    }
}

ALWAYS void tile_block(struct form f, const uint8_t *head, int slot, const uint8_t *body, int i,
                       const struct act_block *x, int n, __m256 acc[][2])
{
    struct scales_avx2 s[2];
    scales_avx2(f, head, slot, body, 0, i, &s[0]);
    scales_avx2(f, head, slot, body, 1, i, &s[1]);
    if (f.math == MATH_32)
        block_one(f, s, body, i, x, n, acc);
    UNROLL for (int p = 0; p < 2; p++)
    {
        if (f.math == MATH_INT)
            block_ints(f, &s[p], body, p, i, x, n, acc);
        else if (f.math == MATH_16)
            block_two(f, &s[p], body, p, i, x, n, acc);
    }
}
#endif
