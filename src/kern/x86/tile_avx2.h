/* The AVX2 int8 tile: 16 rows as two halves of 8 lanes times groups of 4 tokens.
 *
 * Every operand of vpmaddubsw is a nibble (0..15) against an int8 of -127..127: two products a lane, eight
 * lines a block, at most 8 * 2 * 15 * 127 = 30480. So a whole block of 32 columns sums in int16, exactly, and
 * one vpmaddwd per block widens it. An 8-bit weight is two planes of nibbles, 16 * high + low: as many
 * instructions as abs/sign with a vpmaddwd each time, and no -128 to fear.
 *
 * Per token and 8 rows a 4-bit block is 8 multiplies, 7 adds and some 5 more; multiplies go to 2 of Zen 4's 4
 * vector ports and all 20 share the 4: 80 % of the vpmaddubsw peak is the bound. */
#ifndef LATHE_KERN_TILE_AVX2_H
#define LATHE_KERN_TILE_AVX2_H
#include <immintrin.h>
#include <string.h>
#include "kern/panel.h"

#define UNROLL _Pragma("GCC unroll 16")
#define ALWAYS __attribute__((always_inline)) static inline

/* The int16 sums of one block: [token][plane]; a plane is a half of the rows (4 bits) or a nibble of one half
 * (8 bits). */
struct sums_avx2 {
    __m256i v[ACT_GROUP][2];
};

ALWAYS __m256i broadcast4(const int8_t x[4])
{
    int32_t word;
    memcpy(&word, x, 4);
    return _mm256_set1_epi32(word);
}

/* Keeps `v` a running sum in its register: compilers turn the eight adds of a block into a tree, which needs
 * three times the registers there are (Zen 4, q4_0, 4 tokens: 122 GOP/s with, 260 without). */
#define PIN(v) __asm__("" : "+x"(v))

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

ALWAYS __m256i low_nibbles(__m256i v)
{
    return _mm256_and_si256(v, _mm256_set1_epi8(15));
}

ALWAYS __m256i high_nibbles(__m256i v)
{
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
}

/* acc[t][h] = fma(dot, w.d * x.d, acc), then fma(w.m, x.s, acc). */
ALWAYS __m256 add_block(__m256 acc, __m256i dot, const uint8_t *scales, int n_scale,
                        const struct act_block *x, int t)
{
    __m256 d = _mm256_cvtph_ps(_mm_load_si128((const __m128i *)scales));
    acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(d, _mm256_set1_ps(x->d[t])), acc);
    if (n_scale == 2) {
        __m256 m = _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(scales + 64)));
        acc = _mm256_fmadd_ps(m, _mm256_set1_ps(x->s[t]), acc);
    }
    return acc;
}

/* The two nibble planes of line j (0..7) of a block: 4 bits, both halves of the rows; 8 bits, low and high
 * nibbles of half h. */
ALWAYS void line_planes(int bits, const uint8_t *ints, int h, int j, __m256i *w0, __m256i *w1)
{
    const uint8_t *line = ints + 64 * (bits == 4 ? j % 4 : j);
    if (bits == 4) {
        __m256i v0 = _mm256_load_si256((const __m256i *)line),
                v1 = _mm256_load_si256((const __m256i *)(line + 32));
        *w0 = j < 4 ? low_nibbles(v0) : high_nibbles(v0);
        *w1 = j < 4 ? low_nibbles(v1) : high_nibbles(v1);
    } else {
        __m256i v = _mm256_load_si256((const __m256i *)(line + 32 * h));
        *w0 = low_nibbles(v);
        *w1 = high_nibbles(v);
    }
}

/* The sums of a block, scaled, into acc. 8-bit weights are stored plus 128: 16 * (dot of high nibbles - 8 *
 * sum of x) + dot of low nibbles. */
ALWAYS void add_sums(int bits, int n_scale, const uint8_t *scales, int h, const struct sums_avx2 *s,
                     const struct act_block *x, int n, __m256 acc[][2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    UNROLL for (int t = 0; t < n; t++)
    {
        __m256i dot0 = _mm256_madd_epi16(s->v[t][0], ones), dot1 = _mm256_madd_epi16(s->v[t][1], ones);
        __m256i offset = _mm256_set1_epi32(x->n8sum[t]);
        if (bits == 8) {
            dot1 = _mm256_slli_epi32(_mm256_add_epi32(dot1, offset), 4);
            acc[t][h] = add_block(acc[t][h], _mm256_add_epi32(dot0, dot1), scales + 16 * h, n_scale, x, t);
        } else {
            if (n_scale == 1) {
                dot0 = _mm256_add_epi32(dot0, offset);
                dot1 = _mm256_add_epi32(dot1, offset);
            }
            acc[t][0] = add_block(acc[t][0], dot0, scales, n_scale, x, t);
            acc[t][1] = add_block(acc[t][1], dot1, scales + 16, n_scale, x, t);
        }
    }
}

/* Lines in the order low, high nibble of the same bytes, so that each is loaded once. */
static const int line_order[2][8] = {{0, 4, 1, 5, 2, 6, 3, 7}, {0, 1, 2, 3, 4, 5, 6, 7}};

/* One block (8 bits: half h of its rows) times n (constant) tokens of one group. */
ALWAYS void block_half(int bits, int n_scale, const uint8_t *ints, const uint8_t *scales, int h,
                       const struct act_block *x, int n, __m256 acc[][2])
{
    struct sums_avx2 s;
    UNROLL for (int i = 0; i < 8; i++)
    {
        int j = line_order[bits == 8][i];
        __m256i w0, w1;
        line_planes(bits, ints, h, j, &w0, &w1);
        dot_line(&s, w0, w1, x->q[j], n, i == 0);
    }
    add_sums(bits, n_scale, scales, h, &s, x, n, acc);
}

ALWAYS void block(int bits, int n_scale, const uint8_t *ints, const uint8_t *scales,
                  const struct act_block *x, int n, __m256 acc[][2])
{
    block_half(bits, n_scale, ints, scales, 0, x, n, acc);
    if (bits == 8)
        block_half(bits, n_scale, ints, scales, 1, x, n, acc);
}

/* n: tokens computed, a constant; n_tok <= n: tokens stored. */
ALWAYS void tile_dot_group(int bits, int n_scale, const uint8_t *panel, int n_block,
                           const struct act_block *x, int n, int n_tok, bool add, float *y, int64_t y_stride)
{
    const size_t pair_bytes = (size_t)(n_scale * 64 + bits * 128);
    __m256 acc[ACT_GROUP][2];
    UNROLL for (int t = 0; t < n; t++) acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    for (int b = 0; b + 1 < n_block; b += 2, panel += pair_bytes) {
        const uint8_t *ints = panel + n_scale * 64;
        if (n >= TILE_AHEAD_TOK)
            for (size_t at = 0; at < pair_bytes; at += 64)
                _mm_prefetch((const char *)panel + TILE_AHEAD_BYTES + at, _MM_HINT_T1);
        block(bits, n_scale, ints, panel, x + b, n, acc);
        block(bits, n_scale, ints + bits * 64, panel + 32, x + b + 1, n, acc);
    }
    if (n_block % 2)
        block(bits, n_scale, panel + n_scale * 64, panel, x + n_block - 1, n, acc);
    UNROLL for (int t = 0; t < n; t++) if (t < n_tok)
    {
        for (int h = 0; h < 2; h++) {
            float *to = y + t * y_stride + 8 * h;
            _mm256_storeu_ps(to, add ? _mm256_add_ps(_mm256_loadu_ps(to), acc[t][h]) : acc[t][h]);
        }
    }
}

/* One group after another: a panel of 2048 columns stays in the first-level cache meanwhile. (Keeping the
 * unpacked nibbles there for the groups that follow, 9 % fewer vector instructions, was 10 % slower: loads
 * become the bound.) Absent tokens of a group are zero. */
ALWAYS void tile_dot_all(int bits, int n_scale, const uint8_t *panel, int n_block, const struct act_block *x,
                         int64_t group_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    for (; n_tok > 0; n_tok -= ACT_GROUP, x += group_stride, y += ACT_GROUP * y_stride) {
        if (n_tok == 1)
            tile_dot_group(bits, n_scale, panel, n_block, x, 1, 1, add, y, y_stride);
        else if (n_tok == 2)
            tile_dot_group(bits, n_scale, panel, n_block, x, 2, 2, add, y, y_stride);
        else
            tile_dot_group(bits, n_scale, panel, n_block, x, 4, n_tok, add, y, y_stride);
    }
}

#define TILE_DOT(name, bits, n_scale)                                                                        \
    void name(const uint8_t *panel, int n_block, const struct act_block *x, int64_t group_stride, int n_tok, \
              bool add, float *y, int64_t y_stride)                                                          \
    {                                                                                                        \
        tile_dot_all(bits, n_scale, panel, n_block, x, group_stride, n_tok, add, y, y_stride);               \
    }
#endif
