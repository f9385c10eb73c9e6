/* MXFP4: 32 weights in 17 bytes, w = 2^(e - 127) * E2M1 of q (OCP microscaling formats 1.0).
 *
 *     byte 0             e, E8M0
 *     byte 1+i, i < 16   low nibble q[i], high nibble q[i+16]
 */
#include "quant/decode.h"

const int8_t mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

float e8m0_half_to_f32(uint8_t e)
{
    uint32_t bits = e == 255 ? 0x7fc00000u : e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

void take_MXFP4(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = x[0];
    for (int i = 0; i < 16; i++) {
        p->q[i] = x[1 + i] & 15;
        p->q[i + 16] = x[1 + i] >> 4;
    }
}

void put_MXFP4(const struct parts *p, uint8_t *x)
{
    x[0] = (uint8_t)p->d[0];
    for (int i = 0; i < 16; i++)
        x[1 + i] = (uint8_t)(p->q[i] | p->q[i + 16] << 4);
}

void columns_MXFP4(const struct parts *p, int i, struct columns *c)
{
    for (int k = 0; k < 32; k++)
        c->q[k] = mxfp4_values[p->q[32 * i + k]];
    columns_scale(c, e8m0_half_to_f32((uint8_t)p->d[0]));
}
