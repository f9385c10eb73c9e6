/* Probe loops of AVX-512 with VNNI. */
#include <immintrin.h>
#include "measure/machine.h"

#define CHAINS 16 /* latency 4 or 5 x up to 2 units, with room */

double machine_read_avx512vnni(const uint8_t *p, int64_t n, uint64_t *sink)
{
    __m512i a[8];
    for (int k = 0; k < 8; k++)
        a[k] = _mm512_setzero_si512();
    for (int64_t i = 0; i < n; i += 512)
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++)
            a[k] = _mm512_add_epi64(a[k], _mm512_load_si512(p + i + 64 * k));
    for (int k = 1; k < 8; k++)
        a[0] = _mm512_add_epi64(a[0], a[k]);
    uint64_t part[8];
    _mm512_storeu_si512(part, a[0]);
    for (int k = 0; k < 8; k++)
        *sink += part[k];
    return (double)n;
}

double machine_int8_avx512vnni(const uint8_t *p, int64_t n, uint64_t *sink)
{
    __m512i acc[CHAINS], x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(-5);
    for (int k = 0; k < CHAINS; k++)
        acc[k] = _mm512_setzero_si512();
    for (int64_t i = 0; i < n; i++) {
        __asm__("" : "+v"(x), "+v"(y)); /* values unknown to the compiler */
#pragma GCC unroll 16
        for (int k = 0; k < CHAINS; k++)
            acc[k] = _mm512_dpbusd_epi32(acc[k], x, y);
    }
    for (int k = 1; k < CHAINS; k++)
        acc[0] = _mm512_add_epi32(acc[0], acc[k]);
    *sink += (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(acc[0]));
    return (double)n * CHAINS * 64 * 2;
}

double machine_f32_avx512vnni(const uint8_t *p, int64_t n, uint64_t *sink)
{
    __m512 acc[CHAINS], x = _mm512_set1_ps(1e-9f), y = _mm512_set1_ps(0.5f);
    for (int k = 0; k < CHAINS; k++)
        acc[k] = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; i++) {
        __asm__("" : "+v"(x), "+v"(y));
#pragma GCC unroll 16
        for (int k = 0; k < CHAINS; k++)
            acc[k] = _mm512_fmadd_ps(x, y, acc[k]);
    }
    for (int k = 1; k < CHAINS; k++)
        acc[0] = _mm512_add_ps(acc[0], acc[k]);
    *sink += (uint64_t)_mm512_reduce_add_ps(acc[0]);
    return (double)n * CHAINS * 16 * 2;
}
