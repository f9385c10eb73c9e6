/* IQ4_NL: 32 weights in 18 bytes, w = d * value[q]: 4 bits that are not linear.
 *
 *     byte 0..1          d, f16
 *     byte 2+i, i < 16   low nibble q[i], high nibble q[i+16]
 */
#include "quant/decode.h"

const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void take_IQ4_NL(const uint8_t *restrict x, struct parts *restrict p)
{
    take_Q4_0(x, p);
}

void put_IQ4_NL(const struct parts *p, uint8_t *x)
{
    put_Q4_0(p, x);
}

void columns_IQ4_NL(const struct parts *p, int i, struct columns *c)
{
    for (int k = 0; k < 32; k++)
        c->q[k] = iq4_values[p->q[32 * i + k]];
    columns_scale(c, f16_to_f32(p->d[0]));
}
