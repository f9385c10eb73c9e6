/* Panels to f32 for AVX-512. */
#include "kern/x86/form_avx512.h"

void unpack_f16_avx512vnni(const uint8_t *panel, int k0, int n_k, float *out)
{
    const uint8_t *p = panel + (size_t)k0 * LANES * 2;
    for (int k = 0; k < n_k; k++)
        _mm512_storeu_ps(out + k * LANES,
                         _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p + (size_t)k * 32))));
}

void unpack_bf16_avx512vnni(const uint8_t *panel, int k0, int n_k, float *out)
{
    const uint8_t *p = panel + (size_t)k0 * LANES * 2;
    for (int k = 0; k < n_k; k++) {
        __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(p + (size_t)k * 32)));
        _mm512_storeu_ps(out + k * LANES, _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16)));
    }
}

/* Scale and minimum of columns 16 h .. 16 h + 15 of a block. */
ALWAYS void weight_scales(struct form f, const struct scales_avx512 *s, int h, __m512 *w, __m512 *m)
{
    *w = f.math == MATH_16 ? s->w[h] : s->w[0];
    *m = f.has_min ? s->m : _mm512_set1_ps(-0.0f);
    if (f.math != MATH_INT)
        return;
    __m512i sc = _mm512_srai_epi32(_mm512_slli_epi32(s->sc[h], 16), 16);
    *w = _mm512_mul_ps(s->w[0], _mm512_cvtepi32_ps(sc));
    if (f.has_min) {
        __m512i mn = _mm512_and_si512(_mm512_srli_epi32(s->mn, h ? 16 : 0), _mm512_set1_epi32(0xffff));
        *m = _mm512_mul_ps(s->m, _mm512_cvtepi32_ps(mn));
    }
}

/* Exact levels in place of the integers near them. */
ALWAYS void unpack_levels(struct form f, const uint8_t *head, int slot, const uint8_t *body, int i,
                          float *out)
{
    struct form codes = f;
    const __m512 d = _mm512_load_ps((const float *)(head + 64 * slot)), levels = _mm512_loadu_ps(nf4_levels);
    codes.ints = INTS_4;
    UNROLL for (int j = 0; j < 8; j++)
    {
        __m512i line = line_avx512(codes, body, i, j);
        for (int c = 0; c < 4; c++, out += LANES) {
            __m512i code = _mm512_srli_epi32(line, (unsigned)(8 * c)); /* its low four bits count */
            _mm512_storeu_ps(out, _mm512_mul_ps(d, _mm512_permutexvar_ps(code, levels)));
        }
    }
}

/* Each line of 16 rows x 4 columns becomes four rows of out[column][16]. */
ALWAYS void unpack_block(struct form f, const uint8_t *head, int slot, const uint8_t *body, int i, float *out)
{
    struct scales_avx512 s;
    __m512i line[2];
    scales_avx512(f, head, slot, body, i, &s);
    UNROLL for (int j = 0; j < 8; j++)
    {
        __m512 w, m;
        if (j % 2 == 0)
            two_lines(f, body, i, j / 2, line);
        weight_scales(f, &s, j / 4, &w, &m);
        for (int c = 0; c < 4; c++, out += LANES) {
            __m512i q =
                _mm512_and_si512(_mm512_srli_epi32(line[j % 2], (unsigned)(8 * c)), _mm512_set1_epi32(255));
            q = _mm512_sub_epi32(q, _mm512_set1_epi32(f.offset));
            if (form_has_zero(f))
                q = _mm512_add_epi32(q, _mm512_srai_epi32(s.mn, 16));
            _mm512_storeu_ps(out, _mm512_fmadd_ps(w, _mm512_cvtepi32_ps(q), m));
        }
    }
}

ALWAYS void unpack(struct form f, const uint8_t *panel, int k0, int n_k, float *out)
{
    for (int b = k0 / ACT_BLOCK; b < (k0 + n_k) / ACT_BLOCK; b++, out += ACT_BLOCK * LANES) {
        struct form_place at = form_place(f, b / f.n_block);
        if (f.ints == INTS_NF4)
            unpack_levels(f, panel + at.head, at.slot, panel + at.body, b % f.n_block, out);
        else
            unpack_block(f, panel + at.head, at.slot, panel + at.body, b % f.n_block, out);
    }
}

#define UNPACK(OF, of, isa)                                                     \
    void unpack_##of##_##isa(const uint8_t *panel, int k0, int n_k, float *out) \
    {                                                                           \
        unpack(form_##OF, panel, k0, n_k, out);                                 \
    }

KERN_TYPES(UNPACK, avx512vnni)
