/* TQ2_0: 256 weights of three values in 66 bytes, w = d * (q - 1).
 *
 *     byte 32h+i           h < 2, i < 32: bits 2j..2j+1: q[128h+32j+i]
 *     byte 64..65          d, f16
 */
#include "quant/decode.h"

void take_TQ2_0(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x + 64);
    for (int g = 0; g < 8; g++)
        for (int i = 0; i < 32; i++)
            p->q[32 * g + i] = x[g / 4 * 32 + i] >> g % 4 * 2 & 3;
}

void columns_TQ2_0(const struct parts *p, int i, struct columns *c)
{
    columns_codes(p, i, 1, c);
    columns_scale(c, f16_to_f32(p->d[0]));
}
