/* What Q4_K and Q5_K share: eight scales and minima of 6 bits in 12 bytes, and their meaning.
 *
 *     byte i, i < 4      bits 0..5 sc[i], bits 6..7 the upper bits of sc[i+4]
 *     byte 4+i           bits 0..5 mn[i], bits 6..7 the upper bits of mn[i+4]
 *     byte 8+i           low nibble sc[i+4], high nibble mn[i+4]
 */
#ifndef LATHE_QUANT_K_SCALES_H
#define LATHE_QUANT_K_SCALES_H
#include "quant/decode.h"

static inline void take_k_scales(const uint8_t *restrict x, struct parts *restrict p)
{
    for (int i = 0; i < 4; i++) {
        p->sc[i] = x[i] & 63;
        p->mn[i] = x[4 + i] & 63;
        p->sc[i + 4] = (uint8_t)((x[8 + i] & 15) | x[i] >> 6 << 4);
        p->mn[i + 4] = (uint8_t)(x[8 + i] >> 4 | x[4 + i] >> 6 << 4);
    }
}

static inline void put_k_scales(const struct parts *p, uint8_t *x)
{
    for (int i = 0; i < 4; i++) {
        x[i] = (uint8_t)(p->sc[i] | p->sc[i + 4] >> 4 << 6);
        x[4 + i] = (uint8_t)(p->mn[i] | p->mn[i + 4] >> 4 << 6);
        x[8 + i] = (uint8_t)((p->sc[i + 4] & 15) | (p->mn[i + 4] & 15) << 4);
    }
}

/* w = d * sc * q - dmin * mn; the products have 17 and 21 bits: only the difference is rounded. */
static inline void columns_k(const struct parts *p, int i, struct columns *c)
{
    columns_codes(p, i, 0, c);
    columns_scale(c, f16_to_f32(p->d[0]) * (float)p->sc[i]);
    c->m[0] = c->m[1] = -(f16_to_f32(p->d[1]) * (float)p->mn[i]);
}
#endif
