/* f32 tiles for AVX2: groups of 16 rows as two halves of 8 lanes times tokens, up to 6 pairs of accumulators,
 * which hide the latency of a fused multiply-add on 2 ports. Few tokens take several groups at once for the
 * same reason. */
#include <immintrin.h>
#include "kern/panel.h"

#define UNROLL _Pragma("GCC unroll 16")
#define ALWAYS __attribute__((always_inline)) static inline
enum { MAX_PAIR = 6 };

/* What a call is about, with w and y moved on from group to group. */
struct tile {
    const uint8_t *w;
    int64_t w_stride, w_group;
    int n_k;
    const float *x;
    int64_t x_stride;
    bool add;
    float *y;
    int64_t y_stride;
};

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

/* n_group groups times n tokens, both constants; n_tok <= n are stored, the absent ones repeat the first. */
ALWAYS void tile_n(enum format_id of, const struct tile *c, int n_group, int n, int n_tok)
{
    __m256 acc[MAX_PAIR][2];
    const float *xt[MAX_PAIR];
    UNROLL for (int t = 0; t < n; t++)
    {
        int u = t < n_tok ? t : 0;
        xt[t] = c->x + u * c->x_stride;
        UNROLL for (int g = 0; g < n_group; g++)
        {
            const float *y = c->y + u * c->y_stride + g * LANES;
            acc[t * n_group + g][0] = c->add ? _mm256_loadu_ps(y) : _mm256_setzero_ps();
            acc[t * n_group + g][1] = c->add ? _mm256_loadu_ps(y + 8) : _mm256_setzero_ps();
        }
    }
    for (int k = 0; k < c->n_k; k++)
        UNROLL for (int g = 0; g < n_group; g++)
        {
            int64_t at = k * c->w_stride + g * c->w_group;
            if (of != FORMAT_F32 && g % 2 == 0) /* as in tile_f32_avx512vnni.c */
                _mm_prefetch((const char *)c->w + 2 * at + TILE_AHEAD_BYTES, _MM_HINT_T1);
            __m256 w0 = load_lanes(c->w, at, of), w1 = load_lanes(c->w, at + 8, of);
            UNROLL for (int t = 0; t < n; t++)
            {
                __m256 b = _mm256_set1_ps(xt[t][k]);
                acc[t * n_group + g][0] = _mm256_fmadd_ps(w0, b, acc[t * n_group + g][0]);
                acc[t * n_group + g][1] = _mm256_fmadd_ps(w1, b, acc[t * n_group + g][1]);
            }
        }
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int g = 0; g < n_group; g++) if (t < n_tok)
    {
        float *y = c->y + t * c->y_stride + g * LANES;
        _mm256_storeu_ps(y, acc[t * n_group + g][0]);
        _mm256_storeu_ps(y + 8, acc[t * n_group + g][1]);
    }
}

ALWAYS void tile_groups(enum format_id of, struct tile c, int n_group, int n_tok)
{
    while (n_group > 0) {
        int n_here = 1;
        if (n_tok == 1 && n_group >= 4)
            tile_n(of, &c, n_here = 4, 1, 1);
        else if (n_tok == 1)
            tile_n(of, &c, 1, 1, 1);
        else if (n_tok <= 3 && n_group >= 2)
            tile_n(of, &c, n_here = 2, 3, n_tok);
        else if (n_tok <= 3)
            tile_n(of, &c, 1, 3, n_tok);
        else if (n_tok == 4)
            tile_n(of, &c, 1, 4, 4);
        else
            tile_n(of, &c, 1, 6, n_tok);
        n_group -= n_here;
        c.w += n_here * c.w_group * (of == FORMAT_F32 ? 4 : 2);
        c.y += n_here * LANES;
    }
}

ALWAYS void tile_all(enum format_id of, struct tile c, int n_group, int n_tok)
{
    while (n_tok > 0) {
        int n_here = n_tok > 6 ? (n_tok <= 8 ? 4 : 6) : n_tok;
        tile_groups(of, c, n_group, n_here);
        n_tok -= n_here;
        c.x += n_here * c.x_stride;
        c.y += n_here * c.y_stride;
    }
}

void tile_f32_avx2(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k, const float *x,
                   int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_all(FORMAT_F32, (struct tile){w, w_stride, w_group, n_k, x, x_stride, add, y, y_stride}, n_group,
             n_tok);
}

void tile_f16_avx2(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k, const float *x,
                   int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_all(FORMAT_F16, (struct tile){w, w_stride, w_group, n_k, x, x_stride, add, y, y_stride}, n_group,
             n_tok);
}

void tile_bf16_avx2(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k, const float *x,
                    int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_all(FORMAT_BF16, (struct tile){w, w_stride, w_group, n_k, x, x_stride, add, y, y_stride}, n_group,
             n_tok);
}
