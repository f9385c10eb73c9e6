/* BF16: the upper half of an f32. */
#include "quant/decode.h"
#include <string.h>

void decode_BF16(const void *x, float *y, int64_t n)
{
    const uint8_t *p = x;
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof h);
        y[i] = bf16_to_f32(h);
    }
}
