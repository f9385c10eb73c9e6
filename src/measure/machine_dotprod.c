/* Probe loop of the Arm int8 dot product. */
#include <arm_neon.h>
#include "measure/machine.h"

#define CHAINS 16

double machine_int8_dotprod(const uint8_t *p, int64_t n, uint64_t *sink)
{
    int32x4_t acc[CHAINS];
    int8x16_t x = vdupq_n_s8(3), y = vdupq_n_s8(-5);
    for (int k = 0; k < CHAINS; k++)
        acc[k] = vdupq_n_s32(0);
    for (int64_t i = 0; i < n; i++) {
        __asm__("" : "+w"(x), "+w"(y)); /* values unknown to the compiler */
#pragma GCC unroll 16
        for (int k = 0; k < CHAINS; k++)
            acc[k] = vdotq_s32(acc[k], x, y);
    }
    for (int k = 1; k < CHAINS; k++)
        acc[0] = vaddq_s32(acc[0], acc[k]);
    *sink += (uint64_t)vaddvq_s32(acc[0]);
    return (double)n * CHAINS * 16 * 2;
}
