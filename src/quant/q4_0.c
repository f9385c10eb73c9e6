/* Q4_0: 32 weights in 18 bytes, w = d * (q - 8).
 *
 *     byte 0..1          d, f16
 *     byte 2+i, i < 16   low nibble q[i], high nibble q[i+16]
 */
#include "quant/decode.h"
#include <string.h>

struct q4_0_block {
    uint8_t d[2];
    uint8_t q[16];
};
_Static_assert(sizeof(struct q4_0_block) == 18, "file layout");

void decode_Q4_0(const void *x, float *y, int64_t n)
{
    const struct q4_0_block *b = x;
    for (int64_t k = 0; k < n / 32; k++, b++, y += 32) {
        uint16_t h;
        memcpy(&h, b->d, sizeof h);
        float d = f16_to_f32(h);
        for (int i = 0; i < 16; i++) {
            y[i] = d * (float)((b->q[i] & 15) - 8);
            y[i + 16] = d * (float)((b->q[i] >> 4) - 8);
        }
    }
}
