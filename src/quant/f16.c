/* F16: IEEE half precision, converted by integer arithmetic so that the bits are the same on every CPU. */
#include "quant/decode.h"
#include <string.h>

union bits {
    uint32_t u;
    float f;
};

/* Without branches, so that rows of it become vectors. A NaN becomes quiet, as the hardware does it. */
static inline float decode_half(uint32_t h)
{
    uint32_t frac = h & 0x3ff, size = (h & 0x7fff) << 13, normal = size + (112 << 23),
             special = 0x7f800000 | (-(uint32_t)((int32_t)frac > 0) & 0x400000) | frac << 13,
             is_subnormal = -(uint32_t)((int32_t)size < 1 << 23),
             is_special = -(uint32_t)((int32_t)size >= 31 << 23);
    union bits v = {.f = (float)(int32_t)frac * 0x1p-24f}; /* of a subnormal, which is a normal f32 */
    v.u = (h & 0x8000) << 16 | (v.u & is_subnormal) | (special & is_special) |
          (normal & ~(is_subnormal | is_special));
    return v.f;
}

float f16_to_f32(uint16_t h)
{
    return decode_half(h);
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

enum { ROW = 8 };

void decode_F16(const void *x, float *y, int64_t n)
{
    const uint8_t *p = x;
    uint16_t h[ROW];
    int64_t i = 0;
    for (; i + ROW <= n; i += ROW) {
        memcpy(h, p + 2 * i, sizeof h);
        for (int k = 0; k < ROW; k++)
            y[i + k] = decode_half(h[k]);
    }
    for (; i < n; i++) {
        memcpy(h, p + 2 * i, sizeof *h);
        y[i] = decode_half(h[0]);
    }
}
