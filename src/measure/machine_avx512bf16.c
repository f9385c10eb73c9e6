/* Probe loop of the AVX-512 bf16 dot product. */
#include <immintrin.h>
#include "measure/machine.h"

#define CHAINS 16

double machine_bf16_avx512bf16(const uint8_t *p, int64_t n, uint64_t *sink)
{
    __m512 acc[CHAINS];
    __m512i x = _mm512_set1_epi32(0x3f803f80), y = _mm512_set1_epi32(0x3e003e00);
    for (int k = 0; k < CHAINS; k++)
        acc[k] = _mm512_setzero_ps();
    for (int64_t i = 0; i < n; i++) {
        __asm__("" : "+v"(x), "+v"(y)); /* values unknown to the compiler */
#pragma GCC unroll 16
        for (int k = 0; k < CHAINS; k++)
            acc[k] = _mm512_dpbf16_ps(acc[k], (__m512bh)x, (__m512bh)y);
    }
    for (int k = 1; k < CHAINS; k++)
        acc[0] = _mm512_add_ps(acc[0], acc[k]);
    *sink += (uint64_t)_mm512_reduce_add_ps(acc[0]);
    return (double)n * CHAINS * 32 * 2;
}
