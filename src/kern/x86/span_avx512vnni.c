/* Spans of keys and values in 4 and 8 bits for AVX-512; bit for bit those of kern/ref/span_c.c. The 16 numbers that a row of 4-bit
 * codes can mean are a register, which the codes index. */
#include <immintrin.h>
#define MAX_TOK 12
#define MAX_PAIR 24
#include "kern/pack_span.h"
#include "kern/tile_span.h"

/* Scales and least values of rows k .. k + 15, alternating. */
ALWAYS void load_head(const uint8_t *head, int k, float out[2 * LANES])
{
    for (int i = 0; i < 2; i++)
        _mm512_storeu_ps(out + i * LANES,
                         _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(head + 4 * k + 32 * i))));
}

/* Groups first .. first + n_group of a row. */
ALWAYS void load_codes(enum format_id of, const uint8_t *codes, int first, int n_group, const float *head,
                       __m512 w[STRIP_GROUPS])
{
    const __m512 scale = _mm512_set1_ps(head[0]), least = _mm512_set1_ps(head[1]);
    if (of == FORMAT_Q8_1) {
        UNROLL for (int g = 0; g < n_group; g++)
        {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(codes + (first + g) * LANES));
            w[g] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)), scale, least);
        }
        return;
    }
    const __m512 all =
        _mm512_fmadd_ps(_mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), scale, least);
    if (n_group == 1) {
        __m512i v = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(codes + first / 2 * LANES)));
        w[0] = _mm512_permutexvar_ps(_mm512_srl_epi32(v, _mm_cvtsi32_si128(first % 2 * 4)), all);
        return;
    }
    UNROLL for (int g = 0; g < n_group; g += 2)
    {
        __m512i v = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(codes + (first + g) / 2 * LANES)));
        w[g] = _mm512_permutexvar_ps(v, all); /* which looks at no more than four bits */
        w[g + 1] = _mm512_permutexvar_ps(_mm512_srli_epi32(v, 4), all);
    }
}

ALWAYS void tile_strip(enum format_id of, const struct strip *s, int first, int n_group, int n)
{
    __m512 acc[MAX_PAIR];
    UNROLL for (int i = 0; i < n * n_group; i++) acc[i] = _mm512_setzero_ps();
    struct column x = column_first(s->x, s->x_stride);
    const uint8_t *codes = s->codes;
    for (int k0 = 0; k0 < s->n_row; k0 += LANES) {
        float head[2 * LANES];
        int end = s->n_row - k0 < LANES ? s->n_row - k0 : LANES;
        load_head(s->head, k0, head);
        for (int k = 0; k < end; k++, column_next(&x), codes += s->code_bytes) {
            __m512 w[STRIP_GROUPS];
            column_begin(&x);
            _mm_prefetch((const char *)codes + TILE_AHEAD_BYTES, _MM_HINT_T1);
            load_codes(of, codes, first, n_group, head + 2 * k, w);
            UNROLL for (int t = 0; t < n; t++)
            {
                __m512 xt = _mm512_set1_ps(column_row(&x, t));
                UNROLL for (int g = 0; g < n_group; g++) acc[t * n_group + g] =
                    _mm512_fmadd_ps(w[g], xt, acc[t * n_group + g]);
            }
        }
    }
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int g = 0; g < n_group; g++)
        _mm512_storeu_ps(s->y + t * s->y_stride + (first + g) * LANES, acc[t * n_group + g]);
}

TILE_SPAN(tile_span_q4_avx512vnni, FORMAT_Q4_1)
TILE_SPAN(tile_span_q8_avx512vnni, FORMAT_Q8_1)

ALWAYS void halves_to_floats(const uint16_t *half, int n, float *x)
{
    for (int i = 0; i < n; i += LANES)
        _mm512_storeu_ps(x + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(half + i))));
}

PACK_SPAN(pack_span_q4_avx512vnni, FORMAT_Q4_1)
PACK_SPAN(pack_span_q8_avx512vnni, FORMAT_Q8_1)
