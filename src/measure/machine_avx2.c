/* Probe loops of AVX2 and FMA. */
#include <immintrin.h>
#include "measure/machine.h"

double machine_read_avx2(const uint8_t *p, int64_t n, uint64_t *sink)
{
    __m256i a[8];
    for (int k = 0; k < 8; k++)
        a[k] = _mm256_setzero_si256();
    for (int64_t i = 0; i < n; i += 256)
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++)
            a[k] = _mm256_add_epi64(a[k], _mm256_load_si256((const __m256i *)(p + i + 32 * k)));
    for (int k = 1; k < 8; k++)
        a[0] = _mm256_add_epi64(a[0], a[k]);
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(a[0]), _mm256_extracti128_si256(a[0], 1));
    *sink += (uint64_t)_mm_cvtsi128_si64(half) + (uint64_t)_mm_extract_epi64(half, 1);
    return (double)n;
}

#define CHAINS 12 /* latency 4 x 2 units, with room */

double machine_f32_avx2(const uint8_t *p, int64_t n, uint64_t *sink)
{
    __m256 acc[CHAINS], x = _mm256_set1_ps(1e-9f), y = _mm256_set1_ps(0.5f);
    for (int k = 0; k < CHAINS; k++)
        acc[k] = _mm256_setzero_ps();
    for (int64_t i = 0; i < n; i++) {
        __asm__("" : "+x"(x), "+x"(y)); /* values unknown to the compiler */
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++)
            acc[k] = _mm256_fmadd_ps(x, y, acc[k]);
    }
    for (int k = 1; k < CHAINS; k++)
        acc[0] = _mm256_add_ps(acc[0], acc[k]);
    *sink += (uint64_t)_mm256_cvtss_f32(acc[0]);
    return (double)n * CHAINS * 8 * 2;
}

/* A bf16 weight is widened by a shift or a mask and multiplied in f32. */
double machine_bf16_avx2(const uint8_t *p, int64_t n, uint64_t *sink)
{
    __m256 acc[CHAINS], y = _mm256_set1_ps(0.5f);
    __m256i x = _mm256_set1_epi32(0x3f803f80), high = _mm256_set1_epi32((int)0xffff0000);
    for (int k = 0; k < CHAINS; k++)
        acc[k] = _mm256_setzero_ps();
    for (int64_t i = 0; i < n; i++) {
#pragma GCC unroll 6
        for (int k = 0; k < CHAINS; k += 2) {
            __asm__("" : "+x"(x));
            acc[k] = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(x, 16)), y, acc[k]);
            acc[k + 1] = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(x, high)), y, acc[k + 1]);
        }
    }
    for (int k = 1; k < CHAINS; k++)
        acc[0] = _mm256_add_ps(acc[0], acc[k]);
    *sink += (uint64_t)_mm256_cvtss_f32(acc[0]);
    return (double)n * CHAINS * 8 * 2;
}

double machine_int8_avx2(const uint8_t *p, int64_t n, uint64_t *sink)
{
    __m256i acc[CHAINS], x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(-5), ones = _mm256_set1_epi16(1);
    for (int k = 0; k < CHAINS; k++)
        acc[k] = _mm256_setzero_si256();
    for (int64_t i = 0; i < n; i++)
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++) {
            __asm__("" : "+x"(x), "+x"(y));
            acc[k] = _mm256_add_epi32(acc[k], _mm256_madd_epi16(_mm256_maddubs_epi16(x, y), ones));
        }
    for (int k = 1; k < CHAINS; k++)
        acc[0] = _mm256_add_epi32(acc[0], acc[k]);
    *sink += (uint64_t)_mm256_extract_epi64(acc[0], 0);
    return (double)n * CHAINS * 32 * 2;
}
