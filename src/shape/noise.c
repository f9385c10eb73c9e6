/* Uniform numbers of 16 bits, four from each number of the generator. */
#include "shape/noise.h"
#include <math.h>
#include "base/splitmix.h"

enum { GROUP = 32, PER_DRAW = 4 };
#define SQRT_3 1.7320508f /* what is uniform in [-1, 1) has a mean square of 1/3 */

static float group_size(const float *x, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrtf(sum / (float)n);
}

void noise_add(const struct noise *noise, int64_t row, float *x, int n_col)
{
    uint64_t state = splitmix_mix(noise->seed + SPLITMIX_STEP * (uint64_t)row), bits = 0;
    for (int at = 0; at < n_col; at += GROUP) {
        int n = n_col - at < GROUP ? n_col - at : GROUP;
        float size = group_size(x + at, n) * noise->size * SQRT_3;
        for (int i = 0; i < n; i++) {
            bits = i % PER_DRAW ? bits >> 16 : splitmix_next(&state);
            x[at + i] += size * ((float)(bits & 0xffff) * 0x1p-15f - 1);
        }
    }
}
