/* f32 tiles for AVX-512: groups of 16 rows in the lanes times up to 12 tokens, one fused multiply-add each
 * per column. Few tokens take several groups at a time, so that some twelve sums are under way and the
 * latency of the multiply-add does not show. Halves are keys and values on their way from memory, a page too short
 * for the hardware's streams: they are asked for ahead (3 queries, 3000 tokens, Zen 4: 22 GB/s without, 37 with;
 * the whole next page at once: 22). */
#include <immintrin.h>
#include "kern/inline.h"
#include "kern/panel.h"

__attribute__((always_inline)) static inline __m512 load_lanes(const void *w, int64_t i, enum format_id of)
{
    if (of == FORMAT_F16)
        return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)((const uint16_t *)w + i)));
    if (of == FORMAT_BF16) {
        __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)((const uint16_t *)w + i)));
        return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
    }
    return _mm512_loadu_ps((const float *)w + i);
}

/* n tokens (rows past n_tok repeat the first and are not stored), g groups; n and g are constants with n * g
 * <= 16. */
__attribute__((always_inline)) static inline void tile_n(enum format_id of, int n, int g, const void *w,
                                                         int64_t w_stride, int64_t w_group, int n_k,
                                                         const float *x, int64_t x_stride, int n_tok,
                                                         bool add, float *y, int64_t y_stride)
{
    __m512 acc[16];
    const float *xt[TILE_TOK];
    UNROLL for (int t = 0; t < n; t++)
    {
        int u = t < n_tok ? t : 0;
        xt[t] = x + (n_tok == n ? t : u) * x_stride; /* one base register where all rows exist */
        UNROLL for (int i = 0; i < g; i++) acc[t * g + i] =
            add ? _mm512_loadu_ps(y + u * y_stride + i * LANES) : _mm512_setzero_ps();
    }
    for (int k = 0; k < n_k; k++) {
        if (of != FORMAT_F32)
            UNROLL for (int i = 0; i < g; i += 2) _mm_prefetch(
                (const char *)w + 2 * (i * w_group + k * w_stride) + TILE_AHEAD_BYTES, _MM_HINT_T1);
        __m512 wk[4];
        UNROLL for (int i = 0; i < g; i++) wk[i] = load_lanes(w, i * w_group + k * w_stride, of);
        UNROLL for (int t = 0; t < n; t++)
        {
            __m512 xk = _mm512_set1_ps(xt[t][k]);
            UNROLL for (int i = 0; i < g; i++) acc[t * g + i] = _mm512_fmadd_ps(wk[i], xk, acc[t * g + i]);
        }
    }
    UNROLL for (int t = 0; t < n; t++) if (t < n_tok) UNROLL for (int i = 0; i < g; i++)
        _mm512_storeu_ps(y + t * y_stride + i * LANES, acc[t * g + i]);
}

/* All groups for up to n tokens, at most g at a time. */
__attribute__((always_inline)) static inline void tile_groups(enum format_id of, int n, int g, const void *w,
                                                              int64_t w_stride, int64_t w_group, int n_group,
                                                              int n_k, const float *x, int64_t x_stride,
                                                              int n_tok, bool add, float *y, int64_t y_stride)
{
    int64_t elem = of == FORMAT_F32 ? 4 : 2;
    int i = 0;
    for (; i + g <= n_group; i += g)
        tile_n(of, n, g, (const char *)w + i * w_group * elem, w_stride, w_group, n_k, x, x_stride, n_tok,
               add, y + i * LANES, y_stride);
    for (; g > 1 && i < n_group; i++)
        tile_n(of, n, 1, (const char *)w + i * w_group * elem, w_stride, w_group, n_k, x, x_stride, n_tok,
               add, y + i * LANES, y_stride);
}

#define TILE(name, of)                                                                                       \
    void name(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k, const float *x,        \
              int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)                             \
    {                                                                                                        \
        if (n_tok == 1)                                                                                      \
            tile_groups(of, 1, 4, w, w_stride, w_group, n_group, n_k, x, x_stride, 1, add, y, y_stride);     \
        else if (n_tok <= 3)                                                                                 \
            tile_groups(of, 3, 4, w, w_stride, w_group, n_group, n_k, x, x_stride, n_tok, add, y, y_stride); \
        else if (n_tok == 4)                                                                                 \
            tile_groups(of, 4, 4, w, w_stride, w_group, n_group, n_k, x, x_stride, n_tok, add, y, y_stride); \
        else if (n_tok <= 6)                                                                                 \
            tile_groups(of, 6, 2, w, w_stride, w_group, n_group, n_k, x, x_stride, n_tok, add, y, y_stride); \
        else if (n_tok <= 8)                                                                                 \
            tile_groups(of, 8, 2, w, w_stride, w_group, n_group, n_k, x, x_stride, n_tok, add, y, y_stride); \
        else if (x_stride == 64)                                                                             \
            tile_groups(of, 12, 1, w, w_stride, w_group, n_group, n_k, x, 64, n_tok, add, y, y_stride);      \
        else if (x_stride == 128)                                                                            \
            tile_groups(of, 12, 1, w, w_stride, w_group, n_group, n_k, x, 128, n_tok, add, y, y_stride);     \
        else                                                                                                 \
            tile_groups(of, 12, 1, w, w_stride, w_group, n_group, n_k, x, x_stride, n_tok, add, y,           \
                        y_stride);                                                                           \
    }

TILE(tile_f32_avx512vnni, FORMAT_F32)
TILE(tile_f16_avx512vnni, FORMAT_F16)
TILE(tile_bf16_avx512vnni, FORMAT_BF16)
