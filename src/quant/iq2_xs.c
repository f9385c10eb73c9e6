/* IQ2_XS: 256 weights in 74 bytes, w = d * (2 sc[k/16] + 1) / 8 * grid[q[k/8]][k%8], signed.
 *
 *     byte 0..1              d, f16
 *     byte 2+2i..3+2i        i < 32, little-endian; bits 0..8: q[i], bits 9..15: signs of columns 8i..
 *     byte 66+i, i < 8       low nibble sc[2i], high nibble sc[2i+1]
 */
#include "quant/iq_grid.h"

void take_IQ2_XS(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x);
    for (int i = 0; i < 32; i++) {
        uint16_t word = take_u16(x + 2 + 2 * i);
        p->row[i] = word & 511;
        p->sign[i] = signs_of_7(word >> 9);
    }
    for (int i = 0; i < 16; i++)
        p->sc[i] = x[66 + i / 2] >> i % 2 * 4 & 15;
}

void columns_IQ2_XS(const struct parts *p, int i, struct columns *c)
{
    for (int k = 0; k < 32; k++)
        c->q[k] = signed_cell(iq2_xs_grid[p->row[4 * i + k / 8]], k % 8, p->sign[4 * i + k / 8], k);
    columns_scale(c, 0);
    for (int h = 0; h < 2; h++)
        c->w[h] = f16_to_f32(p->d[0]) * 0.125f * (float)(2 * p->sc[2 * i + h] + 1);
}
