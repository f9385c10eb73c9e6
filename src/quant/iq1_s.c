/* IQ1_S: 256 weights in 50 bytes, w = d * (2 sc[k/32] + 1) * (grid[q[k/8]][k%8] +- 1/8); all times 8 they are integers.
 *
 *     byte 0..1              d, f16
 *     byte 2+i, i < 32       eight bits of q[i]
 *     byte 34+2g..35+2g      g < 8, little-endian; bits 3i..3i+2: the upper bits of q[4g+i], bits 12..14: sc[g],
 *                            bit 15: the eighth is subtracted
 */
#include "quant/iq_grid.h"

void take_IQ1_S(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x);
    for (int i = 0; i < 32; i++) {
        uint16_t high = take_u16(x + 34 + i / 4 * 2);
        p->row[i] = (uint16_t)(x[2 + i] | (high >> i % 4 * 3 & 7) << 8);
        p->sign[i] = high >> 15;
        p->sc[i / 4] = high >> 12 & 7;
    }
}

void columns_IQ1_S(const struct parts *p, int i, struct columns *c)
{
    for (int k = 0; k < 32; k++) {
        int cell = (int)(iq1_grid[p->row[4 * i + k / 8]] >> 8 * (k % 8) & 255);
        c->q[k] = (int16_t)(8 * (cell - 1) + (p->sign[4 * i + k / 8] ? -1 : 1));
    }
    columns_scale(c, f16_to_f32(p->d[0]) * 0.125f * (float)(2 * p->sc[i] + 1));
}
