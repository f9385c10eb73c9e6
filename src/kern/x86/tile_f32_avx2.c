/* f32 tiles for AVX2: 16 rows as two halves of 8 lanes times up to 6 tokens, so that 12 accumulators hide the
 * latency of a fused multiply-add on 2 ports. */
#include <immintrin.h>
#include "kern/panel.h"

#define UNROLL _Pragma("GCC unroll 16")
enum { TOK = 6 };

__attribute__((always_inline)) static inline __m256 load_lanes(const void *w, int64_t i, bool is_f16)
{
    if (is_f16)
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)((const uint16_t *)w + i)));
    return _mm256_loadu_ps((const float *)w + i);
}

__attribute__((always_inline)) static inline void tile_n(bool is_f16, const void *w, int64_t w_stride,
                                                         int n_k, const float *x, int64_t x_stride, int n,
                                                         int n_tok, bool add, float *y, int64_t y_stride)
{
    __m256 acc[TOK][2];
    const float *xt[TOK];
    UNROLL for (int t = 0; t < n; t++)
    {
        int u = t < n_tok ? t : 0;
        xt[t] = x + u * x_stride;
        acc[t][0] = add ? _mm256_loadu_ps(y + u * y_stride) : _mm256_setzero_ps();
        acc[t][1] = add ? _mm256_loadu_ps(y + u * y_stride + 8) : _mm256_setzero_ps();
    }
    for (int k = 0; k < n_k; k++) {
        __m256 w0 = load_lanes(w, k * w_stride, is_f16), w1 = load_lanes(w, k * w_stride + 8, is_f16);
        UNROLL for (int t = 0; t < n; t++)
        {
            __m256 b = _mm256_set1_ps(xt[t][k]);
            acc[t][0] = _mm256_fmadd_ps(w0, b, acc[t][0]);
            acc[t][1] = _mm256_fmadd_ps(w1, b, acc[t][1]);
        }
    }
    UNROLL for (int t = 0; t < n; t++) if (t < n_tok)
    {
        _mm256_storeu_ps(y + t * y_stride, acc[t][0]);
        _mm256_storeu_ps(y + t * y_stride + 8, acc[t][1]);
    }
}

__attribute__((always_inline)) static inline void tile_all(bool is_f16, const void *w, int64_t w_stride,
                                                           int n_k, const float *x, int64_t x_stride,
                                                           int n_tok, bool add, float *y, int64_t y_stride)
{
    for (; n_tok > 0; n_tok -= TOK, x += TOK * x_stride, y += TOK * y_stride) {
        if (n_tok == 1)
            tile_n(is_f16, w, w_stride, n_k, x, x_stride, 1, 1, add, y, y_stride);
        else if (n_tok == 2)
            tile_n(is_f16, w, w_stride, n_k, x, x_stride, 2, 2, add, y, y_stride);
        else if (n_tok <= 4)
            tile_n(is_f16, w, w_stride, n_k, x, x_stride, 4, n_tok, add, y, y_stride);
        else
            tile_n(is_f16, w, w_stride, n_k, x, x_stride, TOK, n_tok, add, y, y_stride);
    }
}

void tile_f32_avx2(const void *w, int64_t w_stride, int n_k, const float *x, int64_t x_stride, int n_tok,
                   bool add, float *y, int64_t y_stride)
{
    tile_all(false, w, w_stride, n_k, x, x_stride, n_tok, add, y, y_stride);
}

void tile_f16_avx2(const void *w, int64_t w_stride, int n_k, const float *x, int64_t x_stride, int n_tok,
                   bool add, float *y, int64_t y_stride)
{
    tile_all(true, w, w_stride, n_k, x, x_stride, n_tok, add, y, y_stride);
}
