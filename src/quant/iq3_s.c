/* IQ3_S: 256 weights in 110 bytes, w = d * (2 sc[k/32] + 1) * grid[q[k/4]][k%4], signed.
 *
 *     byte 0..1               d, f16
 *     byte 2+i, i < 64        eight bits of q[i]
 *     byte 66+i, i < 8        bit j: the ninth bit of q[8i+j]
 *     byte 74+i, i < 32       signs of columns 8i..
 *     byte 106+i, i < 4       low nibble sc[2i], high nibble sc[2i+1]
 */
#include "quant/iq_grid.h"

void take_IQ3_S(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x);
    for (int i = 0; i < 64; i++)
        p->row[i] = (uint16_t)(x[2 + i] | (x[66 + i / 8] >> i % 8 & 1) << 8);
    memcpy(p->sign, x + 74, 32);
    for (int i = 0; i < 8; i++)
        p->sc[i] = x[106 + i / 2] >> i % 2 * 4 & 15;
}

void columns_IQ3_S(const struct parts *p, int i, struct columns *c)
{
    for (int k = 0; k < 32; k++)
        c->q[k] = signed_cell(iq3_s_grid[p->row[8 * i + k / 4]], k % 4, p->sign[4 * i + k / 8], k);
    columns_scale(c, f16_to_f32(p->d[0]) * (float)(2 * p->sc[i] + 1));
}
