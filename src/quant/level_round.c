/* The search of a scale for levels: shares of the largest number. */
#include "quant/level_round.h"
#include <math.h>
#include <stddef.h>

enum { N_SHRINK = 16, N_LEVEL = 16 };
static const float shrink_step = 0.02f;

int level_nearest(const float *levels, float x)
{
    int c = 0;
    while (c < N_LEVEL - 1 && x > (levels[c] + levels[c + 1]) * 0.5f)
        c++;
    return c;
}

static double error_of(const float *levels, const float *x, const float *h, int64_t n, float d)
{
    double error = 0;
    for (int64_t k = 0; k < n; k++) {
        float e = x[k] - d * levels[level_nearest(levels, x[k] / d)];
        error += (double)h[k] * (double)e * (double)e;
    }
    return error;
}

float level_scale(const float *levels, const float *x, const float *h, int64_t n)
{
    float most = 0, best;
    double least = INFINITY;
    for (int64_t k = 0; k < n; k++)
        most = fmaxf(most, fabsf(x[k]));
    best = most;
    for (int i = 0; h && most > 0 && i < N_SHRINK; i++) {
        float d = most * (1 - shrink_step * (float)i);
        double error = error_of(levels, x, h, n, d);
        if (error < least) {
            least = error;
            best = d;
        }
    }
    return best;
}
