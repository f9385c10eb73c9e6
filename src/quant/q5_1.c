/* Q5_1: 32 weights in 24 bytes, w = d * q + m.
 *
 *     byte 0..1          d, f16
 *     byte 2..3          m, f16
 *     byte 4..7          bit i: the fifth bit of q[i]
 *     byte 8+i, i < 16   low nibble: four bits of q[i], high nibble: of q[i+16]
 */
#include "quant/decode.h"

void take_Q5_1(const uint8_t *restrict x, struct parts *restrict p)
{
    uint32_t high = take_u32(x + 4);
    p->d[0] = take_u16(x);
    p->d[1] = take_u16(x + 2);
    for (int i = 0; i < 16; i++) {
        p->q[i] = (uint8_t)((x[8 + i] & 15) | (high >> i & 1) << 4);
        p->q[i + 16] = (uint8_t)(x[8 + i] >> 4 | (high >> (i + 16) & 1) << 4);
    }
}

void put_Q5_1(const struct parts *p, uint8_t *x)
{
    uint32_t high = 0;
    put_u16(x, p->d[0]);
    put_u16(x + 2, p->d[1]);
    for (int i = 0; i < 16; i++) {
        x[8 + i] = (uint8_t)((p->q[i] & 15) | (p->q[i + 16] & 15) << 4);
        high |= (uint32_t)(p->q[i] >> 4) << i | (uint32_t)(p->q[i + 16] >> 4) << (i + 16);
    }
    put_u32(x + 4, high);
}

void columns_Q5_1(const struct parts *p, int i, struct columns *c)
{
    columns_codes(p, i, 0, c);
    columns_scale(c, f16_to_f32(p->d[0]));
    c->m[0] = c->m[1] = f16_to_f32(p->d[1]);
}
