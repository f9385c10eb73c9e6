/* Q6_K: 256 weights in 210 bytes, w = d * sc[k/16] * (q - 32).
 *
 *     byte 64h+i           h < 2, i < 32: low nibble four bits of q[128h+i], high nibble of q[128h+64+i]
 *     byte 64h+32+i        the same of q[128h+32+i] and q[128h+96+i]
 *     byte 128+32h+i       bits 2j..2j+1: the upper bits of q[128h+32j+i]
 *     byte 192+i, i < 16   sc[i], signed
 *     byte 208..209        d, f16
 */
#include "quant/decode.h"

void take_Q6_K(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x + 208);
    memcpy(p->sc, x + 192, 16);
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 32; i++) {
            int a = x[64 * h + i], b = x[64 * h + 32 + i], high = x[128 + 32 * h + i];
            uint8_t *q = p->q + 128 * h + i;
            q[0] = (uint8_t)((a & 15) | (high & 3) << 4);
            q[32] = (uint8_t)((b & 15) | (high >> 2 & 3) << 4);
            q[64] = (uint8_t)(a >> 4 | (high >> 4 & 3) << 4);
            q[96] = (uint8_t)(b >> 4 | (high >> 6) << 4);
        }
}

void put_Q6_K(const struct parts *p, uint8_t *x)
{
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *q = p->q + 128 * h + i;
            x[64 * h + i] = (uint8_t)((q[0] & 15) | (q[64] & 15) << 4);
            x[64 * h + 32 + i] = (uint8_t)((q[32] & 15) | (q[96] & 15) << 4);
            x[128 + 32 * h + i] = (uint8_t)(q[0] >> 4 | q[32] >> 4 << 2 | q[64] >> 4 << 4 | q[96] >> 4 << 6);
        }
    memcpy(x + 192, p->sc, 16);
    put_u16(x + 208, p->d[0]);
}

void columns_Q6_K(const struct parts *p, int i, struct columns *c)
{
    columns_codes(p, i, 32, c);
    columns_scale(c, 0);
    for (int h = 0; h < 2; h++)
        c->w[h] = f16_to_f32(p->d[0]) * (float)(int8_t)p->sc[2 * i + h];
}
