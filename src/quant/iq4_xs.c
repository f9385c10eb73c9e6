/* IQ4_XS: 256 weights in 136 bytes, w = d * (sc[k/32] - 32) * value[q], the values of IQ4_NL.
 *
 *     byte 0..1            d, f16
 *     byte 2..3            bits 2i..2i+1: the upper bits of sc[i]
 *     byte 4+i, i < 4      low nibble four bits of sc[2i], high nibble of sc[2i+1]
 *     byte 8+16g+i         g < 8, i < 16: low nibble q[32g+i], high nibble q[32g+16+i]
 */
#include "quant/decode.h"

void take_IQ4_XS(const uint8_t *restrict x, struct parts *restrict p)
{
    uint16_t high = take_u16(x + 2);
    p->d[0] = take_u16(x);
    for (int i = 0; i < 8; i++)
        p->sc[i] = (uint8_t)((x[4 + i / 2] >> i % 2 * 4 & 15) | (high >> 2 * i & 3) << 4);
    for (int g = 0; g < 8; g++)
        for (int i = 0; i < 16; i++) {
            p->q[32 * g + i] = x[8 + 16 * g + i] & 15;
            p->q[32 * g + 16 + i] = x[8 + 16 * g + i] >> 4;
        }
}

void put_IQ4_XS(const struct parts *p, uint8_t *x)
{
    uint16_t high = 0;
    memset(x + 4, 0, 4);
    for (int i = 0; i < 8; i++) {
        x[4 + i / 2] |= (uint8_t)((p->sc[i] & 15) << i % 2 * 4);
        high |= (uint16_t)(p->sc[i] >> 4 << 2 * i);
    }
    put_u16(x, p->d[0]);
    put_u16(x + 2, high);
    for (int g = 0; g < 8; g++)
        for (int i = 0; i < 16; i++)
            x[8 + 16 * g + i] = (uint8_t)(p->q[32 * g + i] | p->q[32 * g + 16 + i] << 4);
}

void columns_IQ4_XS(const struct parts *p, int i, struct columns *c)
{
    for (int k = 0; k < 32; k++)
        c->q[k] = iq4_values[p->q[32 * i + k]];
    columns_scale(c, f16_to_f32(p->d[0]) * (float)(p->sc[i] - 32));
}
