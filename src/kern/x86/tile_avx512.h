/* The AVX-512 VNNI int8 tile: 16 rows in the lanes of one register times up to 12 tokens.
 *
 * Per block of 32 columns every token's eight 4-byte groups are broadcast from memory into vpdpbusd, the
 * weights stay unpacked in registers; then one conversion, one multiply (w.d * x.d) and one fused
 * multiply-add per token and block. On Zen 4 the multiply and the fused multiply-add share the ports of
 * vpdpbusd: 8 / (8 + 2) = 80 % of the int8 peak is the bound, 79 % measured with the panel in L2. */
#ifndef LATHE_KERN_TILE_AVX512_H
#define LATHE_KERN_TILE_AVX512_H
#include <immintrin.h>
#include "kern/panel.h"

#define UNROLL _Pragma("GCC unroll 16")

/* The broadcast as memory operand of the dot itself: compilers split the intrinsic into two instructions, and
 * the tile then runs at 49 % of the int8 peak instead of 72 % (Zen 4, q4_1). */
static inline __m512i dot_broadcast(__m512i sum, __m512i w, const int8_t (*x)[4])
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(w), "m"(*x));
    return sum;
}

static inline __m512 half_lanes(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)p));
}

/* bits: 4 or 8; n_scale: 1, or 2 with a minimum; offset_shift: log2(offset / 8), or -1 without an offset. All
 * constants. */
__attribute__((always_inline)) static inline void tile_dot_block(const uint8_t *pair, int half, int bits,
                                                                 int n_scale, int offset_shift,
                                                                 const struct act_block *x,
                                                                 int64_t group_stride, int n, __m512 *acc)
{
    const uint8_t *ints = pair + n_scale * 64 + half * bits * 4 * LANES;
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i sum[TILE_TOK];
    UNROLL for (int t = 0; t < n; t++)
    {
        if (offset_shift < 0)
            sum[t] = _mm512_setzero_si512();
        else
            sum[t] =
                _mm512_set1_epi32(x[t / ACT_GROUP * group_stride].n8sum[t % ACT_GROUP] * (1 << offset_shift));
    }
    UNROLL for (int j = 0; j < bits; j++)
    {
        __m512i v = _mm512_load_si512(ints + 64 * j);
        __m512i lo = bits == 4 ? _mm512_and_si512(v, nibble) : v;
        UNROLL for (int t = 0; t < n; t++) sum[t] =
            dot_broadcast(sum[t], lo, &x[t / ACT_GROUP * group_stride].q[j][t % ACT_GROUP]);
        if (bits == 4) {
            __m512i hi = _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble);
            UNROLL for (int t = 0; t < n; t++) sum[t] =
                dot_broadcast(sum[t], hi, &x[t / ACT_GROUP * group_stride].q[j + 4][t % ACT_GROUP]);
        }
    }
    __m512 d = half_lanes(pair + half * 32), m = n_scale == 2 ? half_lanes(pair + 64 + half * 32) : d;
    UNROLL for (int t = 0; t < n; t++)
    {
        const struct act_block *xt = &x[t / ACT_GROUP * group_stride];
        __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(xt->d[t % ACT_GROUP]));
        acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[t]), scale, acc[t]);
        if (n_scale == 2)
            acc[t] = _mm512_fmadd_ps(m, _mm512_set1_ps(xt->s[t % ACT_GROUP]), acc[t]);
    }
}

__attribute__((always_inline)) static inline void tile_dot_n(int bits, int n_scale, int offset_shift,
                                                             const uint8_t *panel, int n_block,
                                                             const struct act_block *x, int64_t group_stride,
                                                             int n, int n_tok, bool add, float *y,
                                                             int64_t y_stride)
{
    const size_t pair_bytes = (size_t)(n_scale * 64 + bits * 128);
    __m512 acc[TILE_TOK];
    UNROLL for (int t = 0; t < n; t++) acc[t] = _mm512_setzero_ps();
    for (int b = 0; b + 1 < n_block; b += 2, panel += pair_bytes) {
        if (n >= TILE_AHEAD_TOK)
            for (size_t at = 0; at < pair_bytes; at += 64)
                _mm_prefetch((const char *)panel + TILE_AHEAD_BYTES + at, _MM_HINT_T1);
        tile_dot_block(panel, 0, bits, n_scale, offset_shift, x + b, group_stride, n, acc);
        tile_dot_block(panel, 1, bits, n_scale, offset_shift, x + b + 1, group_stride, n, acc);
    }
    if (n_block % 2)
        tile_dot_block(panel, 0, bits, n_scale, offset_shift, x + n_block - 1, group_stride, n, acc);
    UNROLL for (int t = 0; t < n; t++) if (t < n_tok)
    {
        __m512 old = add ? _mm512_loadu_ps(y + t * y_stride) : _mm512_setzero_ps();
        _mm512_storeu_ps(y + t * y_stride, add ? _mm512_add_ps(old, acc[t]) : acc[t]);
    }
}

/* Token counts between the tile sizes compute the next larger one: absent tokens of a group are zero, absent
 * groups are not read. */
#define TILE_DOT(name, bits, n_scale, offset_shift)                                                          \
    void name(const uint8_t *panel, int n_block, const struct act_block *x, int64_t stride, int n_tok,       \
              bool add, float *y, int64_t y_stride)                                                          \
    {                                                                                                        \
        if (n_tok == 1)                                                                                      \
            tile_dot_n(bits, n_scale, offset_shift, panel, n_block, x, stride, 1, 1, add, y, y_stride);      \
        else if (n_tok == 2)                                                                                 \
            tile_dot_n(bits, n_scale, offset_shift, panel, n_block, x, stride, 2, 2, add, y, y_stride);      \
        else if (n_tok <= 4)                                                                                 \
            tile_dot_n(bits, n_scale, offset_shift, panel, n_block, x, stride, 4, n_tok, add, y, y_stride);  \
        else if (n_tok <= 8)                                                                                 \
            tile_dot_n(bits, n_scale, offset_shift, panel, n_block, x, stride, 8, n_tok, add, y, y_stride);  \
        else                                                                                                 \
            tile_dot_n(bits, n_scale, offset_shift, panel, n_block, x, stride, 12, n_tok, add, y, y_stride); \
    }
#endif
