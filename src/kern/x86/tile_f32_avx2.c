/* f32 tiles for AVX2: a group of 16 rows is two halves of 8 lanes; two ports for fused multiply-adds. */
#include <immintrin.h>
#include "kern/panel.h"
#define MAX_TOK 6
#define MAX_PAIR 6
#include "kern/tile_f32.h"

ALWAYS __m256 load_lanes(const uint8_t *w, int64_t i, enum format_id of)
{
    if (of == FORMAT_F16)
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(w + 2 * i)));
    if (of == FORMAT_BF16) {
        __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(w + 2 * i)));
        return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
    }
    return _mm256_loadu_ps((const float *)w + i);
}

ALWAYS void tile_n(enum format_id of, const struct tile *c, int n_group, int n)
{
    __m256 acc[MAX_PAIR][2];
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int g = 0; g < n_group; g++)
    {
        const float *y = c->y + t * c->y_stride + g * LANES;
        acc[t * n_group + g][0] = c->add ? _mm256_loadu_ps(y) : _mm256_setzero_ps();
        acc[t * n_group + g][1] = c->add ? _mm256_loadu_ps(y + 8) : _mm256_setzero_ps();
    }
    struct column x = column_first(c->x, c->x_stride);
    for (int k = 0; k < c->n_k; k++, column_next(&x)) {
        column_begin(&x);
        UNROLL for (int g = 0; g < n_group; g++)
        {
            int64_t at = k * c->w_stride + g * c->w_group;
            if (of != FORMAT_F32 && g % 2 == 0) /* as in tile_f32_avx512vnni.c */
                _mm_prefetch((const char *)c->w + 2 * at + TILE_AHEAD_BYTES, _MM_HINT_T1);
            __m256 w0 = load_lanes(c->w, at, of), w1 = load_lanes(c->w, at + 8, of);
            UNROLL for (int t = 0; t < n; t++)
            {
                __m256 xt = _mm256_set1_ps(column_row(&x, t));
                acc[t * n_group + g][0] = _mm256_fmadd_ps(w0, xt, acc[t * n_group + g][0]);
                acc[t * n_group + g][1] = _mm256_fmadd_ps(w1, xt, acc[t * n_group + g][1]);
            }
        }
    }
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int g = 0; g < n_group; g++)
    {
        float *y = c->y + t * c->y_stride + g * LANES;
        _mm256_storeu_ps(y, acc[t * n_group + g][0]);
        _mm256_storeu_ps(y + 8, acc[t * n_group + g][1]);
    }
}

TILE(tile_f32_avx2, FORMAT_F32)
TILE(tile_f16_avx2, FORMAT_F16)
TILE(tile_bf16_avx2, FORMAT_BF16)
