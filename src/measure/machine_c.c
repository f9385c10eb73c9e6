/* Probe loops in plain C: what a compiler makes of the baseline instruction set. */
#include <string.h>
#include "measure/machine.h"

typedef float f32x4 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef int16_t i16x8 __attribute__((vector_size(16)));
typedef uint64_t u64x2 __attribute__((vector_size(16)));

double machine_read_c(const uint8_t *p, int64_t n, uint64_t *sink)
{
    u64x2 a = {0}, b = {0}, c = {0}, d = {0};
    for (const u64x2 *q = (const u64x2 *)p, *end = q + n / 16; q < end; q += 4) {
        a += q[0];
        b += q[1];
        c += q[2];
        d += q[3];
    }
    a += b + c + d;
    *sink += a[0] + a[1];
    return (double)n;
}

double machine_f32_c(const uint8_t *p, int64_t n, uint64_t *sink)
{
    f32x4 acc[8], x = {1e-9f, 2e-9f, 3e-9f, 4e-9f}, y = {0.5f, 0.25f, 0.125f, 0.75f};
    memset(acc, 0, sizeof acc);
    for (int64_t i = 0; i < n; i++) {
        __asm__("" : "+m"(x), "+m"(y)); /* values unknown to the compiler */
        for (int k = 0; k < 8; k++)
            acc[k] += x * y;
    }
    for (int k = 1; k < 8; k++)
        acc[0] += acc[k];
    *sink += (uint64_t)(acc[0][0] + acc[0][1] + acc[0][2] + acc[0][3]);
    return (double)n * 8 * 4 * 2;
}

/* Without bf16 instructions a bf16 weight is widened by a shift and multiplied in f32. */
double machine_bf16_c(const uint8_t *p, int64_t n, uint64_t *sink)
{
    f32x4 acc[8], y = {0.5f, 0.25f, 0.125f, 0.75f};
    i32x4 x = {0x3f803f80, 0x3f003f00, 0x3e803e80, 0x3e003e00}; /* pairs of bf16 */
    memset(acc, 0, sizeof acc);
    for (int64_t i = 0; i < n; i++) {
        __asm__("" : "+m"(x), "+m"(y));
        for (int k = 0; k < 8; k += 2) {
            acc[k] += (f32x4)(x << 16) * y;
            acc[k + 1] += (f32x4)(x & (int32_t)0xffff0000) * y;
        }
    }
    for (int k = 1; k < 8; k++)
        acc[0] += acc[k];
    *sink += (uint64_t)acc[0][0];
    return (double)n * 8 * 4 * 2;
}

/* Products of int8 widened to int16, summed in int32 as an integer dot product without dot instructions does.
 */
double machine_int8_c(const uint8_t *p, int64_t n, uint64_t *sink)
{
    i32x4 acc[4];
    i16x8 x = {1, -2, 3, -4, 5, -6, 7, -8}, y = {11, 12, 13, 14, 15, 16, 17, 18};
    memset(acc, 0, sizeof acc);
    for (int64_t i = 0; i < n; i++) {
        __asm__("" : "+m"(x), "+m"(y));
        for (int k = 0; k < 4; k++) {
            i16x8 product = x * y;
            acc[k] += ((i32x4)product >> 16) + (((i32x4)product << 16) >> 16);
        }
    }
    acc[0] += acc[1] + acc[2] + acc[3];
    *sink += (uint64_t)(uint32_t)acc[0][0];
    return (double)n * 4 * 8 * 2;
}
