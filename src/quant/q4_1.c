/* Q4_1: 32 weights in 20 bytes, w = d * q + m.
 *
 *     byte 0..1          d, f16
 *     byte 2..3          m, f16
 *     byte 4+i, i < 16   low nibble q[i], high nibble q[i+16]
 *
 * d * q has 11 + 4 bits and is exact; the sum with m is rounded once, in f32. */
#include "quant/decode.h"
#include <string.h>

struct q4_1_block {
    uint8_t d[2], m[2];
    uint8_t q[16];
};
_Static_assert(sizeof(struct q4_1_block) == 20, "file layout");

void decode_Q4_1(const void *x, float *y, int64_t n)
{
    const struct q4_1_block *b = x;
    for (int64_t k = 0; k < n / 32; k++, b++, y += 32) {
        uint16_t h, g;
        memcpy(&h, b->d, sizeof h);
        memcpy(&g, b->m, sizeof g);
        float d = f16_to_f32(h), m = f16_to_f32(g);
        for (int i = 0; i < 16; i++) {
            y[i] = d * (float)(b->q[i] & 15) + m;
            y[i + 16] = d * (float)(b->q[i] >> 4) + m;
        }
    }
}
