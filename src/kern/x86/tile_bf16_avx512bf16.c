/* The bf16 tile of the native class for AVX512-BF16: 16 rows times up to 12 tokens, activations rounded to bf16.
 *
 * vdpbf16ps adds two products to a lane: of columns 2k+1, then 2k, each fused, denormals read and written as zero. Two
 * columns of a panel are 2 x 16 numbers side by side; one permutation a line makes pairs of them, for all tokens. Pairs
 * go to two sums in turns: with one, a single token would wait for its latency (Zen 4: 36 GB/s from the second-level
 * cache with one, 70 with two). The activations are rounded once a call and 512 columns at a time, a sixteenth of
 * the work of a tile of 12. */
#include <immintrin.h>
#include "kern/inline.h"
#include "kern/panel.h"

enum { CHUNK = 512 }; /* columns */

/* x[0..n) as bf16, past it zeros up to an even number. */
ALWAYS void round_row(const float *x, int n, uint16_t *to)
{
    for (int k = 0; k < n; k += 16) {
        __mmask16 in = n - k >= 16 ? 0xffff : (__mmask16)((1u << (n - k)) - 1);
        _mm256_storeu_si256((__m256i *)(to + k),
                            (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(in, x + k)));
    }
}

/* Columns k and k + 1, if there is one, as pairs. */
ALWAYS __m512i pairs(const uint16_t *w, int64_t stride, bool both)
{
    const __m512i zip = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                                         22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m256i low = _mm256_loadu_si256((const __m256i *)w);
    __m256i high = both ? _mm256_loadu_si256((const __m256i *)(w + stride)) : _mm256_setzero_si256();
    return _mm512_permutexvar_epi16(zip, _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}

/* The broadcast as memory operand of the dot, as in tile_avx512.h. */
ALWAYS __m512 dot_pair(__m512 sum, __m512i w, const uint16_t *x)
{
    __asm__("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(w), "m"(*(const uint32_t *)x));
    return sum;
}

/* One group of 16 rows; n tokens, a constant, of which n_tok exist. */
ALWAYS void tile_n(int n, const uint16_t *w, int64_t w_stride, int n_k, const float *x, int64_t x_stride,
                   int n_tok, bool add, float *y, int64_t y_stride)
{
    _Alignas(64) uint16_t rounded[TILE_TOK][CHUNK];
    __m512 acc[2][TILE_TOK];
    UNROLL for (int t = 0; t < n; t++) acc[0][t] = acc[1][t] = _mm512_setzero_ps();
    for (int k0 = 0; k0 < n_k; k0 += CHUNK) {
        const int n_here = n_k - k0 < CHUNK ? n_k - k0 : CHUNK;
        for (int t = 0; t < n; t++)
            round_row(x + (t < n_tok ? t : 0) * x_stride + k0, n_here, rounded[t]);
        for (int k = 0; k < n_here; k += 4) {
            UNROLL for (int i = 0; i < 2; i++)
            {
                const int at = k + 2 * i;
                if (at >= n_here)
                    break;
                _mm_prefetch((const char *)w + TILE_AHEAD_BYTES, _MM_HINT_T1);
                __m512i wk = pairs(w, w_stride, at + 1 < n_here);
                UNROLL for (int t = 0; t < n; t++) acc[i][t] = dot_pair(acc[i][t], wk, &rounded[t][at]);
                w += 2 * w_stride;
            }
        }
    }
    UNROLL for (int t = 0; t < n; t++) if (t < n_tok)
    {
        float *to = y + t * y_stride;
        __m512 sum = _mm512_add_ps(acc[0][t], acc[1][t]);
        _mm512_storeu_ps(to, add ? _mm512_add_ps(_mm512_loadu_ps(to), sum) : sum);
    }
}

void tile_bf16_avx512bf16(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k,
                          const float *x, int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    const uint16_t *at = w;
    for (int g = 0; g < n_group; g++, at += w_group, y += LANES) {
        if (n_tok == 1)
            tile_n(1, at, w_stride, n_k, x, x_stride, n_tok, add, y, y_stride);
        else if (n_tok <= 4)
            tile_n(4, at, w_stride, n_k, x, x_stride, n_tok, add, y, y_stride);
        else if (n_tok <= 8)
            tile_n(8, at, w_stride, n_k, x, x_stride, n_tok, add, y, y_stride);
        else
            tile_n(12, at, w_stride, n_k, x, x_stride, n_tok, add, y, y_stride);
    }
}
