/* Q8_0: 32 weights in 34 bytes, w = d * q.
 *
 *     byte 0..1          d, f16
 *     byte 2+i, i < 32   q[i], signed, -128 included
 *
 * The code is q + 128. */
#include "quant/decode.h"

void take_Q8_0(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x);
    for (int i = 0; i < 32; i++)
        p->q[i] = x[2 + i] ^ 0x80;
}

void put_Q8_0(const struct parts *p, uint8_t *x)
{
    put_u16(x, p->d[0]);
    for (int i = 0; i < 32; i++)
        x[2 + i] = p->q[i] ^ 0x80;
}

void columns_Q8_0(const struct parts *p, int i, struct columns *c)
{
    columns_codes(p, i, 128, c);
    columns_scale(c, f16_to_f32(p->d[0]));
}
