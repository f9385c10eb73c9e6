/* F16: IEEE half precision, converted by integer arithmetic so that the bits are the same on every CPU. */
#include "quant/decode.h"
#include <string.h>

union bits {
    uint32_t u;
    float f;
};

float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, frac = h & 0x3ff;
    union bits v;
    if (exp == 0) { /* zero and subnormal: frac * 2^-24, which is a normal f32 */
        v.f = (float)frac * 0x1p-24f;
        v.u |= sign;
    } else if (exp == 31) { /* NaN becomes quiet, as the hardware does it */
        v.u = sign | 0x7f800000 | (frac ? 0x400000 | frac << 13 : 0);
    } else {
        v.u = sign | (exp + 112) << 23 | frac << 13;
    }
    return v.f;
}

uint16_t f32_to_f16(float x)
{
    union bits v = {.f = x};
    uint32_t sign = v.u >> 16 & 0x8000, a = v.u & 0x7fffffff;
    if (a > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (a >= 0x38800000) /* normal; the carry of the rounding may go into the exponent, as it should */
        return (uint16_t)(sign | ((a - (112u << 23) + 0xfff + (a >> 13 & 1)) >> 13));
    uint32_t shift = 126 - (a >> 23); /* subnormal: units of 2^-24 */
    if (shift > 24)
        return (uint16_t)sign;
    uint32_t m = (a & 0x7fffff) | 0x800000, q = m >> shift, rest = m & ((1u << shift) - 1),
             half = 1u << (shift - 1);
    return (uint16_t)(sign | (q + (rest > half || (rest == half && (q & 1)))));
}

void decode_F16(const void *x, float *y, int64_t n)
{
    const uint8_t *p = x;
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof h);
        y[i] = f16_to_f32(h);
    }
}
