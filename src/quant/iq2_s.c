/* IQ2_S: 256 weights in 82 bytes, w = d * (2 sc[k/16] + 1) / 8 * grid[q[k/8]][k%8], signed.
 *
 *     byte 0..1              d, f16
 *     byte 2+i, i < 32       eight bits of q[i]
 *     byte 34+i, i < 32      signs of columns 8i..
 *     byte 66+i, i < 8       bits 2j..2j+1: the upper bits of q[4i+j]
 *     byte 74+i, i < 8       low nibble sc[2i], high nibble sc[2i+1]
 */
#include "quant/iq_grid.h"

void take_IQ2_S(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x);
    for (int i = 0; i < 32; i++) {
        p->row[i] = (uint16_t)(x[2 + i] | (x[66 + i / 4] >> i % 4 * 2 & 3) << 8);
        p->sign[i] = x[34 + i];
    }
    for (int i = 0; i < 16; i++)
        p->sc[i] = x[74 + i / 2] >> i % 2 * 4 & 15;
}

void columns_IQ2_S(const struct parts *p, int i, struct columns *c)
{
    for (int k = 0; k < 32; k++)
        c->q[k] = signed_cell(iq2_s_grid[p->row[4 * i + k / 8]], k % 8, p->sign[4 * i + k / 8], k);
    columns_scale(c, 0);
    for (int h = 0; h < 2; h++)
        c->w[h] = f16_to_f32(p->d[0]) * 0.125f * (float)(2 * p->sc[2 * i + h] + 1);
}
