/* Panels to f32 for AVX2. */
#include "kern/x86/form_avx2.h"

void unpack_f16_avx2(const uint8_t *panel, int k0, int n_k, float *out)
{
    const uint8_t *p = panel + (size_t)k0 * LANES * 2;
    for (int i = 0; i < 2 * n_k; i++)
        _mm256_storeu_ps(out + i * 8,
                         _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + (size_t)i * 16))));
}

void unpack_bf16_avx2(const uint8_t *panel, int k0, int n_k, float *out)
{
    const uint8_t *p = panel + (size_t)k0 * LANES * 2;
    for (int i = 0; i < 2 * n_k; i++) {
        __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + (size_t)i * 16)));
        _mm256_storeu_ps(out + i * 8, _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
    }
}

/* Scale and minimum of columns 16 h .. 16 h + 15 of a block. */
ALWAYS void weight_scales(struct form f, const struct scales_avx2 *s, int h, __m256 *w, __m256 *m)
{
    *w = f.math == MATH_16 ? s->w[h] : s->w[0];
    *m = f.has_min ? s->m : _mm256_set1_ps(-0.0f);
    if (f.math != MATH_INT)
        return;
    __m256i sc = _mm256_srai_epi32(_mm256_slli_epi32(s->sc[h], 16), 16);
    *w = _mm256_mul_ps(s->w[0], _mm256_cvtepi32_ps(sc));
    if (f.has_min) {
        __m256i mn = _mm256_and_si256(_mm256_srli_epi32(s->mn, h ? 16 : 0), _mm256_set1_epi32(0xffff));
        *m = _mm256_mul_ps(s->m, _mm256_cvtepi32_ps(mn));
    }
}

/* Exact levels in place of the integers near them. */
ALWAYS void unpack_levels(struct form f, const uint8_t *head, int slot, const uint8_t *body, int p, int i,
                          float *out)
{
    struct form codes = f;
    const __m256 d = _mm256_load_ps((const float *)(head + 64 * slot) + 8 * p);
    codes.ints = INTS_4;
    UNROLL for (int j = 0; j < 8; j++)
    {
        __m256i line = line_avx2(codes, body, p, i, j);
        for (int c = 0; c < 4; c++, out += LANES) {
            __m256i code = _mm256_and_si256(_mm256_srli_epi32(line, 8 * c), _mm256_set1_epi32(15));
            _mm256_storeu_ps(out, _mm256_mul_ps(d, _mm256_i32gather_ps(nf4_levels, code, 4)));
        }
    }
}

/* Half a line of 8 rows x 4 columns becomes half of four rows of out[column][16]. */
ALWAYS void unpack_half(struct form f, const uint8_t *head, int slot, const uint8_t *body, int p, int i,
                        float *out)
{
    struct scales_avx2 s;
    scales_avx2(f, head, slot, body, p, i, &s);
    UNROLL for (int j = 0; j < 8; j++)
    {
        __m256 w, m;
        __m256i line = line_avx2(f, body, p, i, j);
        weight_scales(f, &s, j / 4, &w, &m);
        for (int c = 0; c < 4; c++, out += LANES) {
            __m256i q = _mm256_and_si256(_mm256_srli_epi32(line, 8 * c), _mm256_set1_epi32(255));
            q = _mm256_sub_epi32(q, _mm256_set1_epi32(f.offset));
            if (form_has_zero(f))
                q = _mm256_add_epi32(q, _mm256_srai_epi32(s.mn, 16));
            _mm256_storeu_ps(out, _mm256_fmadd_ps(w, _mm256_cvtepi32_ps(q), m));
        }
    }
}

ALWAYS void unpack(struct form f, const uint8_t *panel, int k0, int n_k, float *out)
{
    for (int b = k0 / ACT_BLOCK; b < (k0 + n_k) / ACT_BLOCK; b++, out += ACT_BLOCK * LANES) {
        struct form_place at = form_place(f, b / f.n_block);
        for (int p = 0; p < 2; p++)
            (f.ints == INTS_NF4 ? unpack_levels : unpack_half)(f, panel + at.head, at.slot, panel + at.body,
                                                               p, b % f.n_block, out + 8 * p);
    }
}

#define UNPACK(OF, of, isa)                                                     \
    void unpack_##of##_##isa(const uint8_t *panel, int k0, int n_k, float *out) \
    {                                                                           \
        unpack(form_##OF, panel, k0, n_k, out);                                 \
    }

KERN_TYPES(UNPACK, avx2)
