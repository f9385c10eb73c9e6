/* Q4_K: 256 weights in 144 bytes, w = d * sc[k/32] * q - dmin * mn[k/32].
 *
 *     byte 0..1            d, f16
 *     byte 2..3            dmin, f16
 *     byte 4..15           scales and minima (k_scales.h)
 *     byte 16+32g+i        g < 4, i < 32: low nibble q[64g+i], high nibble q[64g+32+i]
 */
#include "quant/k_scales.h"

void take_Q4_K(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x);
    p->d[1] = take_u16(x + 2);
    take_k_scales(x + 4, p);
    for (int g = 0; g < 4; g++)
        for (int i = 0; i < 32; i++) {
            p->q[64 * g + i] = x[16 + 32 * g + i] & 15;
            p->q[64 * g + 32 + i] = x[16 + 32 * g + i] >> 4;
        }
}

void put_Q4_K(const struct parts *p, uint8_t *x)
{
    put_u16(x, p->d[0]);
    put_u16(x + 2, p->d[1]);
    put_k_scales(p, x + 4);
    for (int g = 0; g < 4; g++)
        for (int i = 0; i < 32; i++)
            x[16 + 32 * g + i] = (uint8_t)(p->q[64 * g + i] | p->q[64 * g + 32 + i] << 4);
}

void columns_Q4_K(const struct parts *p, int i, struct columns *c)
{
    columns_k(p, i, c);
}
