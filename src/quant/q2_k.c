/* Q2_K: 256 weights in 84 bytes, w = d * sc[k/16] * q - dmin * mn[k/16].
 *
 *     byte i, i < 16       low nibble sc[i], high nibble mn[i]
 *     byte 16+32h+i        h < 2, i < 32: bits 2j..2j+1: q[128h+32j+i]
 *     byte 80..81          d, f16
 *     byte 82..83          dmin, f16
 */
#include "quant/decode.h"

void take_Q2_K(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x + 80);
    p->d[1] = take_u16(x + 82);
    for (int i = 0; i < 16; i++) {
        p->sc[i] = x[i] & 15;
        p->mn[i] = x[i] >> 4;
    }
    for (int g = 0; g < 8; g++)
        for (int i = 0; i < 32; i++)
            p->q[32 * g + i] = x[16 + g / 4 * 32 + i] >> g % 4 * 2 & 3;
}

void put_Q2_K(const struct parts *p, uint8_t *x)
{
    for (int i = 0; i < 16; i++)
        x[i] = (uint8_t)(p->sc[i] | p->mn[i] << 4);
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *q = p->q + 128 * h + i;
            x[16 + 32 * h + i] = (uint8_t)(q[0] | q[32] << 2 | q[64] << 4 | q[96] << 6);
        }
    put_u16(x + 80, p->d[0]);
    put_u16(x + 82, p->d[1]);
}

void columns_Q2_K(const struct parts *p, int i, struct columns *c)
{
    columns_codes(p, i, 0, c);
    c->d = f16_to_f32(p->d[0]);
    c->dmin = f16_to_f32(p->d[1]);
    for (int h = 0; h < 2; h++) {
        c->sc[h] = p->sc[2 * i + h];
        c->mn[h] = p->mn[2 * i + h];
        c->w[h] = c->d * (float)c->sc[h];
        c->m[h] = -(c->dmin * (float)c->mn[h]);
    }
}
