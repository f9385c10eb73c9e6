/* IQ1_M: 256 weights in 56 bytes, w = d * (2 sc[k/16] + 1) * (grid[q[k/8]][k%8] +- 1/8); all times 8 they are integers.
 *
 *     byte i, i < 32         eight bits of q[i]
 *     byte 32+i, i < 16      low nibble of q[2i], high nibble of q[2i+1]: three upper bits, then: the eighth is subtracted
 *     byte 48+2g..49+2g      g < 4, little-endian; bits 3i..3i+2: sc[4g+i], bits 12..15: bits 4g..4g+3 of d, f16
 */
#include "quant/iq_grid.h"

void take_IQ1_M(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = 0;
    for (int i = 0; i < 32; i++) {
        int high = x[32 + i / 2] >> i % 2 * 4 & 15;
        p->row[i] = (uint16_t)(x[i] | (high & 7) << 8);
        p->sign[i] = (uint8_t)(high >> 3);
    }
    for (int i = 0; i < 16; i++) {
        uint16_t word = take_u16(x + 48 + i / 4 * 2);
        p->sc[i] = word >> i % 4 * 3 & 7;
        p->d[0] = (uint16_t)(p->d[0] | (word >> 12) << i / 4 * 4);
    }
}

void columns_IQ1_M(const struct parts *p, int i, struct columns *c)
{
    columns_IQ1_S(p, i, c);
    for (int h = 0; h < 2; h++)
        c->w[h] = f16_to_f32(p->d[0]) * 0.125f * (float)(2 * p->sc[2 * i + h] + 1);
}
