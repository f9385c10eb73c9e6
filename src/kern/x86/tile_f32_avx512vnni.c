/* f32 tiles for AVX-512: 16 rows in the lanes times up to 12 tokens, one fused multiply-add each per column. */
#include <immintrin.h>
#include "kern/panel.h"

#define UNROLL _Pragma("GCC unroll 16")

__attribute__((always_inline)) static inline __m512 load_lanes(const void *w, int64_t i, bool is_f16)
{
    if (is_f16)
        return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)((const uint16_t *)w + i)));
    return _mm512_loadu_ps((const float *)w + i);
}

__attribute__((always_inline)) static inline void tile_n(bool is_f16, const void *w, int64_t w_stride, int n_k,
                                                         const float *x, int64_t x_stride, int n, int n_tok, bool add,
                                                         float *y, int64_t y_stride)
{
    __m512 acc[TILE_TOK];
    const float *xt[TILE_TOK];
    UNROLL for (int t = 0; t < n; t++)
    {
        int u = t < n_tok ? t : 0;
        xt[t] = x + u * x_stride;
        acc[t] = add ? _mm512_loadu_ps(y + u * y_stride) : _mm512_setzero_ps();
    }
    for (int k = 0; k < n_k; k++) {
        __m512 wk = load_lanes(w, k * w_stride, is_f16);
        UNROLL for (int t = 0; t < n; t++)
            acc[t] = _mm512_fmadd_ps(wk, _mm512_set1_ps(xt[t][k]), acc[t]);
    }
    UNROLL for (int t = 0; t < n; t++)
        if (t < n_tok)
            _mm512_storeu_ps(y + t * y_stride, acc[t]);
}

#define TILE(name, is_f16)                                                                                           \
    void name(const void *w, int64_t w_stride, int n_k, const float *x, int64_t x_stride, int n_tok, bool add, float *y, \
              int64_t y_stride)                                                                                      \
    {                                                                                                                \
        if (n_tok == 1)                                                                                              \
            tile_n(is_f16, w, w_stride, n_k, x, x_stride, 1, 1, add, y, y_stride);                                   \
        else if (n_tok == 2)                                                                                         \
            tile_n(is_f16, w, w_stride, n_k, x, x_stride, 2, 2, add, y, y_stride);                                   \
        else if (n_tok <= 4)                                                                                         \
            tile_n(is_f16, w, w_stride, n_k, x, x_stride, 4, n_tok, add, y, y_stride);                               \
        else if (n_tok <= 8)                                                                                         \
            tile_n(is_f16, w, w_stride, n_k, x, x_stride, 8, n_tok, add, y, y_stride);                               \
        else                                                                                                         \
            tile_n(is_f16, w, w_stride, n_k, x, x_stride, 12, n_tok, add, y, y_stride);                              \
    }

TILE(tile_f32_avx512vnni, false)
TILE(tile_f16_avx512vnni, true)
