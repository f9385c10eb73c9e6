/* Q3_K: 256 weights in 110 bytes, w = d * (sc[k/16] - 32) * (q - 4).
 *
 *     byte i, i < 32       bit j: the third bit of q[32j+i]
 *     byte 32+32h+i        h < 2, i < 32: bits 2j..2j+1: two bits of q[128h+32j+i]
 *     byte 96+i, i < 8     low nibble four bits of sc[i], high nibble of sc[i+8]
 *     byte 104+i, i < 4    bits 2j..2j+1: the upper bits of sc[4j+i]
 *     byte 108..109        d, f16
 */
#include "quant/decode.h"

void take_Q3_K(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x + 108);
    for (int i = 0; i < 16; i++)
        p->sc[i] = (uint8_t)((x[96 + i % 8] >> i / 8 * 4 & 15) | (x[104 + i % 4] >> i / 4 * 2 & 3) << 4);
    for (int g = 0; g < 8; g++)
        for (int i = 0; i < 32; i++) {
            int low = x[32 + g / 4 * 32 + i] >> g % 4 * 2 & 3;
            p->q[32 * g + i] = (uint8_t)(low | (x[i] >> g & 1) << 2);
        }
}

void put_Q3_K(const struct parts *p, uint8_t *x)
{
    memset(x, 0, 108);
    for (int g = 0; g < 8; g++)
        for (int i = 0; i < 32; i++) {
            int q = p->q[32 * g + i];
            x[i] |= (uint8_t)(q >> 2 << g);
            x[32 + g / 4 * 32 + i] |= (uint8_t)((q & 3) << g % 4 * 2);
        }
    for (int i = 0; i < 16; i++) {
        x[96 + i % 8] |= (uint8_t)((p->sc[i] & 15) << i / 8 * 4);
        x[104 + i % 4] |= (uint8_t)(p->sc[i] >> 4 << i / 4 * 2);
    }
    put_u16(x + 108, p->d[0]);
}

void columns_Q3_K(const struct parts *p, int i, struct columns *c)
{
    columns_codes(p, i, 4, c);
    columns_scale(c, 0);
    c->d = f16_to_f32(p->d[0]);
    c->dmin = 0;
    for (int h = 0; h < 2; h++) {
        c->sc[h] = p->sc[2 * i + h] - 32;
        c->mn[h] = 0;
        c->w[h] = c->d * (float)c->sc[h];
    }
}
