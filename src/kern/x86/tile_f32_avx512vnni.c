/* f32 tiles for AVX-512: a group of 16 rows is a register, the sums are up to 24 of 32. Halves are keys and values on their way
 * from memory, a page too short for the hardware's streams: they are asked for ahead (3 queries, 3000 tokens, Zen 4: 22 GB/s
 * without, 37 with; the whole next page at once: 22). */
#include <immintrin.h>
#include "kern/panel.h"
#define MAX_TOK 12
#define MAX_PAIR 24
#include "kern/tile_f32.h"

ALWAYS __m512 load_lanes(const uint8_t *w, int64_t i, enum format_id of)
{
    if (of == FORMAT_F16)
        return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(w + 2 * i)));
    if (of == FORMAT_BF16) {
        __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(w + 2 * i)));
        return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
    }
    return _mm512_loadu_ps((const float *)w + i);
}

ALWAYS void tile_n(enum format_id of, const struct tile *c, int n_group, int n)
{
    __m512 acc[MAX_PAIR];
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int g = 0; g < n_group; g++) acc[t * n_group + g] =
        c->add ? _mm512_loadu_ps(c->y + t * c->y_stride + g * LANES) : _mm512_setzero_ps();
    struct column x = column_first(c->x, c->x_stride);
    for (int k = 0; k < c->n_k; k++, column_next(&x)) {
        column_begin(&x);
        if (of != FORMAT_F32)
            UNROLL for (int g = 0; g < n_group; g += 2) _mm_prefetch(
                (const char *)c->w + 2 * (g * c->w_group + k * c->w_stride) + TILE_AHEAD_BYTES, _MM_HINT_T1);
        __m512 w[4];
        UNROLL for (int g = 0; g < n_group; g++) w[g] =
            load_lanes(c->w, g * c->w_group + k * c->w_stride, of);
        UNROLL for (int t = 0; t < n; t++)
        {
            __m512 xt = _mm512_set1_ps(column_row(&x, t));
            UNROLL for (int g = 0; g < n_group; g++) acc[t * n_group + g] =
                _mm512_fmadd_ps(w[g], xt, acc[t * n_group + g]);
        }
    }
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int g = 0; g < n_group; g++)
        _mm512_storeu_ps(c->y + t * c->y_stride + g * LANES, acc[t * n_group + g]);
}

TILE(tile_f32_avx512vnni, FORMAT_F32)
TILE(tile_f16_avx512vnni, FORMAT_F16)
TILE(tile_bf16_avx512vnni, FORMAT_BF16)
