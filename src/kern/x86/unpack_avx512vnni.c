/* Panels to f32 for AVX-512. */
#include <immintrin.h>
#include "kern/panel.h"

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

/* One line of 16 rows x 4 columns (or their high nibbles) becomes four rows of out[column][16]. */
__attribute__((always_inline)) static inline void unpack_line(__m512i v, int bits, int shift, int n_scale,
                                                              __m512 d, __m512 m, float *out)
{
    const __m512i mask = _mm512_set1_epi32(bits == 4 ? 15 : 255);
    for (int i = 0; i < 4; i++) {
        __m512i q = _mm512_and_si512(_mm512_srli_epi32(v, (unsigned)(8 * i + shift)), mask);
        if (n_scale == 1)
            q = _mm512_sub_epi32(q, _mm512_set1_epi32(bits == 4 ? 8 : 128));
        __m512 f = _mm512_cvtepi32_ps(q);
        _mm512_storeu_ps(out + i * LANES, n_scale == 2 ? _mm512_fmadd_ps(d, f, m) : _mm512_mul_ps(d, f));
    }
}

__attribute__((always_inline)) static inline void unpack_quant(const uint8_t *panel, int bits, int n_scale,
                                                               int k0, int n_k, float *out)
{
    for (int b = k0 / ACT_BLOCK; b < (k0 + n_k) / ACT_BLOCK; b++, out += ACT_BLOCK * LANES) {
        const uint8_t *pair = panel + (size_t)(b / 2) * (size_t)(n_scale * 64 + bits * 128);
        const uint8_t *ints = pair + n_scale * 64 + (b % 2) * bits * 4 * LANES;
        __m512 d = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(pair + (b % 2) * 32)));
        __m512 m = n_scale == 2
                       ? _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(pair + 64 + (b % 2) * 32)))
                       : d;
        for (int j = 0; j < bits; j++) {
            __m512i v = _mm512_loadu_si512(ints + 64 * j);
            unpack_line(v, bits, 0, n_scale, d, m, out + j * 4 * LANES);
            if (bits == 4)
                unpack_line(v, bits, 4, n_scale, d, m, out + (j + 4) * 4 * LANES);
        }
    }
}

void unpack_q4_0_avx512vnni(const uint8_t *panel, int k0, int n_k, float *out)
{
    unpack_quant(panel, 4, 1, k0, n_k, out);
}

void unpack_q4_1_avx512vnni(const uint8_t *panel, int k0, int n_k, float *out)
{
    unpack_quant(panel, 4, 2, k0, n_k, out);
}

void unpack_q8_0_avx512vnni(const uint8_t *panel, int k0, int n_k, float *out)
{
    unpack_quant(panel, 8, 1, k0, n_k, out);
}
