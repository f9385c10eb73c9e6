/* Spans of keys and values in 4 and 8 bits for AVX2; bit for bit those of kern/ref/span_c.c. A group of 16 lanes is two halves of 8. */
#include <immintrin.h>
#define MAX_TOK 6
#define MAX_PAIR 6
#define UNPACKED_TOK 4
#define UNPACKED_TILE tile_f32_avx2
#include "kern/pack_span.h"
#include "kern/tile_span.h"

/* Scales and least values of rows k .. k + 15, alternating. */
ALWAYS void load_head(const uint8_t *head, int k, float out[2 * LANES])
{
    for (int i = 0; i < 4; i++)
        _mm256_storeu_ps(out + i * 8,
                         _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(head + 4 * k + 16 * i))));
}

/* Half a group of a row. */
ALWAYS __m256 load_codes(enum format_id of, const uint8_t *codes, int group, int half, __m256 scale,
                         __m256 least)
{
    int at = of == FORMAT_Q8_1 ? group * LANES : group / 2 * LANES;
    __m256i v = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(codes + at + 8 * half)));
    if (of == FORMAT_Q4_1)
        v = _mm256_and_si256(_mm256_srl_epi32(v, _mm_cvtsi32_si128(group % 2 * 4)), _mm256_set1_epi32(15));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(v), scale, least);
}

ALWAYS void tile_strip(enum format_id of, const struct strip *s, int first, int n_group, int n)
{
    __m256 acc[MAX_PAIR][2];
    UNROLL for (int i = 0; i < n * n_group; i++) acc[i][0] = acc[i][1] = _mm256_setzero_ps();
    struct column x = column_first(s->x, s->x_stride);
    const uint8_t *codes = s->codes;
    for (int k0 = 0; k0 < s->n_row; k0 += LANES) {
        float head[2 * LANES];
        int end = s->n_row - k0 < LANES ? s->n_row - k0 : LANES;
        load_head(s->head, k0, head);
        for (int k = 0; k < end; k++, column_next(&x), codes += s->code_bytes) {
            const __m256 scale = _mm256_set1_ps(head[2 * k]), least = _mm256_set1_ps(head[2 * k + 1]);
            column_begin(&x);
            _mm_prefetch((const char *)codes + TILE_AHEAD_BYTES, _MM_HINT_T1);
            UNROLL for (int g = 0; g < n_group; g++)
            {
                __m256 w0 = load_codes(of, codes, first + g, 0, scale, least),
                       w1 = load_codes(of, codes, first + g, 1, scale, least);
                UNROLL for (int t = 0; t < n; t++)
                {
                    __m256 xt = _mm256_set1_ps(column_row(&x, t));
                    acc[t * n_group + g][0] = _mm256_fmadd_ps(w0, xt, acc[t * n_group + g][0]);
                    acc[t * n_group + g][1] = _mm256_fmadd_ps(w1, xt, acc[t * n_group + g][1]);
                }
            }
        }
    }
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int g = 0; g < n_group; g++)
    {
        float *y = s->y + t * s->y_stride + (first + g) * LANES;
        _mm256_storeu_ps(y, acc[t * n_group + g][0]);
        _mm256_storeu_ps(y + 8, acc[t * n_group + g][1]);
    }
}

ALWAYS void strip_unpack(enum format_id of, const struct strip *s, int n_group, int k0, int n, float *out)
{
    const uint8_t *codes = s->codes + k0 * s->code_bytes;
    for (int i = 0; i < n; i += LANES) {
        float head[2 * LANES];
        load_head(s->head, k0 + i, head);
        for (int k = 0; k < LANES && i + k < n; k++, codes += s->code_bytes) {
            const __m256 scale = _mm256_set1_ps(head[2 * k]), least = _mm256_set1_ps(head[2 * k + 1]);
            for (int g = 0; g < n_group; g++, out += LANES) {
                _mm256_storeu_ps(out, load_codes(of, codes, g, 0, scale, least));
                _mm256_storeu_ps(out + 8, load_codes(of, codes, g, 1, scale, least));
            }
        }
    }
}

TILE_SPAN(tile_span_q4_avx2, FORMAT_Q4_1)
TILE_SPAN(tile_span_q8_avx2, FORMAT_Q8_1)

ALWAYS void halves_to_floats(const uint16_t *half, int n, float *x)
{
    for (int i = 0; i < n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(half + i))));
}

PACK_SPAN(pack_span_q4_avx2, FORMAT_Q4_1)
PACK_SPAN(pack_span_q8_avx2, FORMAT_Q8_1)
