/* IQ2_XXS: 256 weights in 66 bytes, w = d * (2 sc[k/32] + 1) / 8 * grid[q[k/8]][k%8], signed.
 *
 *     byte 0..1          d, f16
 *     byte 2+8g+i        g < 8, i < 4: q[4g+i]
 *     byte 6+8g..9+8g    little-endian; bits 7i..7i+6: signs of columns 32g+8i.., bits 28..31: sc[g]
 */
#include "quant/iq_grid.h"

void take_IQ2_XXS(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x);
    for (int g = 0; g < 8; g++) {
        uint32_t signs = take_u32(x + 6 + 8 * g);
        p->sc[g] = (uint8_t)(signs >> 28);
        for (int i = 0; i < 4; i++) {
            p->row[4 * g + i] = x[2 + 8 * g + i];
            p->sign[4 * g + i] = signs_of_7(signs >> 7 * i);
        }
    }
}

void columns_IQ2_XXS(const struct parts *p, int i, struct columns *c)
{
    for (int k = 0; k < 32; k++)
        c->q[k] = signed_cell(iq2_xxs_grid[p->row[4 * i + k / 8]], k % 8, p->sign[4 * i + k / 8], k);
    columns_scale(c, f16_to_f32(p->d[0]) * 0.125f * (float)(2 * p->sc[i] + 1));
}
