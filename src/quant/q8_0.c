/* Q8_0: 32 weights in 34 bytes, w = d * q.
 *
 *     byte 0..1          d, f16
 *     byte 2+i, i < 32   q[i], signed, -128 included
 */
#include "quant/decode.h"
#include <string.h>

struct q8_0_block {
    uint8_t d[2];
    int8_t q[32];
};
_Static_assert(sizeof(struct q8_0_block) == 34, "file layout");

void decode_Q8_0(const void *x, float *y, int64_t n)
{
    const struct q8_0_block *b = x;
    for (int64_t k = 0; k < n / 32; k++, b++, y += 32) {
        uint16_t h;
        memcpy(&h, b->d, sizeof h);
        float d = f16_to_f32(h);
        for (int i = 0; i < 32; i++)
            y[i] = d * (float)b->q[i];
    }
}
