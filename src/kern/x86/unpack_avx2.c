/* Panels to f32 for AVX2. */
#include <immintrin.h>
#include "kern/panel.h"

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

/* Half a line of 8 rows x 4 columns (or their high nibbles) becomes half of four rows of out[column][16]. */
__attribute__((always_inline)) static inline void unpack_line(__m256i v, int bits, int shift, int n_scale,
                                                              __m256 d, __m256 m, float *out)
{
    const __m256i mask = _mm256_set1_epi32(bits == 4 ? 15 : 255);
    for (int i = 0; i < 4; i++) {
        __m256i q = _mm256_and_si256(_mm256_srli_epi32(v, 8 * i + shift), mask);
        if (n_scale == 1)
            q = _mm256_sub_epi32(q, _mm256_set1_epi32(bits == 4 ? 8 : 128));
        __m256 f = _mm256_cvtepi32_ps(q);
        _mm256_storeu_ps(out + i * LANES, n_scale == 2 ? _mm256_fmadd_ps(d, f, m) : _mm256_mul_ps(d, f));
    }
}

__attribute__((always_inline)) static inline void unpack_quant(const uint8_t *panel, int bits, int n_scale,
                                                               int k0, int n_k, float *out)
{
    for (int b = k0 / ACT_BLOCK; b < (k0 + n_k) / ACT_BLOCK; b++, out += ACT_BLOCK * LANES) {
        const uint8_t *pair = panel + (size_t)(b / 2) * (size_t)(n_scale * 64 + bits * 128);
        const uint8_t *ints = pair + n_scale * 64 + (b % 2) * bits * 4 * LANES;
        for (int h = 0; h < 2; h++) {
            const uint8_t *scales = pair + (b % 2) * 32 + h * 16;
            __m256 d = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)scales));
            __m256 m = n_scale == 2 ? _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(scales + 64))) : d;
            for (int j = 0; j < bits; j++) {
                __m256i v = _mm256_loadu_si256((const __m256i *)(ints + 64 * j + 32 * h));
                unpack_line(v, bits, 0, n_scale, d, m, out + j * 4 * LANES + 8 * h);
                if (bits == 4)
                    unpack_line(v, bits, 4, n_scale, d, m, out + (j + 4) * 4 * LANES + 8 * h);
            }
        }
    }
}

void unpack_q4_0_avx2(const uint8_t *panel, int k0, int n_k, float *out)
{
    unpack_quant(panel, 4, 1, k0, n_k, out);
}

void unpack_q4_1_avx2(const uint8_t *panel, int k0, int n_k, float *out)
{
    unpack_quant(panel, 4, 2, k0, n_k, out);
}

void unpack_q8_0_avx2(const uint8_t *panel, int k0, int n_k, float *out)
{
    unpack_quant(panel, 8, 1, k0, n_k, out);
}
