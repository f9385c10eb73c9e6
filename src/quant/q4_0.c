/* Q4_0: 32 weights in 18 bytes, w = d * (q - 8).
 *
 *     byte 0..1          d, f16
 *     byte 2+i, i < 16   low nibble q[i], high nibble q[i+16]
 */
#include "quant/decode.h"

void take_Q4_0(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x);
    for (int i = 0; i < 16; i++) {
        p->q[i] = x[2 + i] & 15;
        p->q[i + 16] = x[2 + i] >> 4;
    }
}

void put_Q4_0(const struct parts *p, uint8_t *x)
{
    put_u16(x, p->d[0]);
    for (int i = 0; i < 16; i++)
        x[2 + i] = (uint8_t)(p->q[i] | p->q[i + 16] << 4);
}

void columns_Q4_0(const struct parts *p, int i, struct columns *c)
{
    columns_codes(p, i, 8, c);
    columns_scale(c, f16_to_f32(p->d[0]));
}
