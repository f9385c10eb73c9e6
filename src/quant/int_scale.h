/* Scales of the integer formats: a number of 19 bits, which holds every f16 and every bf16 exactly, and an integer zero point of
 * five, in 3 bytes.
 *
 *     byte 0..1   the upper half of the f32 of it: sign, exponent, 7 bits of the fraction
 *     byte 2      bits 7..5: the next 3 of the fraction; bits 4..0: the zero point
 */
#ifndef LATHE_QUANT_INT_SCALE_H
#define LATHE_QUANT_INT_SCALE_H
#include "quant/decode.h"

enum { INT_SCALE_BYTES = 3 };

static inline float int_scale(uint16_t high, uint8_t low)
{
    uint32_t bits = (uint32_t)high << 16 | (uint32_t)(low & 0xe0) << 8;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Of a number that 19 bits hold, as those of f16 and bf16 are. A NaN stays one. */
static inline void put_int_scale(float scale, uint8_t zero, uint8_t *x)
{
    uint32_t bits;
    memcpy(&bits, &scale, sizeof bits);
    put_u16(x, (uint16_t)(bits >> 16));
    x[2] = (uint8_t)((bits >> 8 & 0xe0) | zero);
}

/* The functions of a format whose blocks have n columns, from take, put and columns of all sizes of a kind. */
#define INT_BLOCK(name, n)                                                \
    void take_##name(const uint8_t *restrict x, struct parts *restrict p) \
    {                                                                     \
        take(x, n, p);                                                    \
    }                                                                     \
    void put_##name(const struct parts *p, uint8_t *x)                    \
    {                                                                     \
        put(p, n, x);                                                     \
    }                                                                     \
    void columns_##name(const struct parts *p, int i, struct columns *c)  \
    {                                                                     \
        columns(p, i, c);                                                 \
    }
#endif
