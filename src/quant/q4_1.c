/* Q4_1: 32 weights in 20 bytes, w = d * q + m.
 *
 *     byte 0..1          d, f16
 *     byte 2..3          m, f16
 *     byte 4+i, i < 16   low nibble q[i], high nibble q[i+16]
 *
 * d * q has 11 + 4 bits and is exact; the sum with m is rounded once, in f32. */
#include "quant/decode.h"

void take_Q4_1(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x);
    p->d[1] = take_u16(x + 2);
    for (int i = 0; i < 16; i++) {
        p->q[i] = x[4 + i] & 15;
        p->q[i + 16] = x[4 + i] >> 4;
    }
}

void put_Q4_1(const struct parts *p, uint8_t *x)
{
    put_u16(x, p->d[0]);
    put_u16(x + 2, p->d[1]);
    for (int i = 0; i < 16; i++)
        x[4 + i] = (uint8_t)(p->q[i] | p->q[i + 16] << 4);
}

void columns_Q4_1(const struct parts *p, int i, struct columns *c)
{
    columns_codes(p, i, 0, c);
    columns_scale(c, f16_to_f32(p->d[0]));
    c->m[0] = c->m[1] = f16_to_f32(p->d[1]);
}
