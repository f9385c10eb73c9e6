/* The search of an integer group: ranges from all numbers down to two thirds of that, each with its zero point; then the scale by
 * least squares for the codes that were best. */
#include "quant/int_round.h"
#include <math.h>
#include <string.h>
#include "quant/format.h"

enum { N_SHRINK = 15, N_TURN = 2 };
static const float shrink_step = 0.024f;

static float nearest_scale(const struct int_grid *g, float d)
{
    float least = g->scale_of == FORMAT_F16 ? 0x1p-24f : 0x1p-100f,
          most = g->scale_of == FORMAT_F16 ? 65504 : 0x1p100f;
    d = d < least ? least : d > most ? most : d;
    return g->scale_of == FORMAT_F16 ? f16_to_f32(f32_to_f16(d)) : bf16_to_f32(f32_to_bf16(d));
}

static int code_of(const struct int_grid *g, float x, float inverse, int z)
{
    float q = rintf(x * inverse) + (float)z;
    return q < 0 ? 0 : q > (float)g->q_hi ? g->q_hi : (int)q;
}

/* Keeps scale and zero point if they are better than what was best. */
static void try_scale(const struct int_grid *g, const float *x, const float *h, int64_t n, float d, int z,
                      struct int_group *best)
{
    double error = 0;
    float scale = nearest_scale(g, d), inverse = 1 / scale;
    for (int64_t i = 0; i < n; i++) {
        float e = x[i] - scale * (float)(code_of(g, x[i], inverse, z) - z);
        error += (double)(h ? h[i] : 1) * (double)e * (double)e;
    }
    if (best->d > 0 && error >= best->error)
        return;
    *best = (struct int_group){scale, z, error};
}

static int zero_of(const struct int_grid *g, float low, float d)
{
    if (g->zero >= 0)
        return g->zero;
    float z = rintf(-low / d);
    return z < (float)g->z_lo ? g->z_lo : z > (float)g->z_hi ? g->z_hi : (int)z;
}

/* The scale that is best for the codes that the best one gives. */
static float least_squares(const struct int_grid *g, const float *x, const float *h, int64_t n,
                           const struct int_group *best)
{
    double xq = 0, qq = 0;
    float inverse = 1 / best->d;
    for (int64_t i = 0; i < n; i++) {
        double q = code_of(g, x[i], inverse, best->z) - best->z, w = h ? (double)h[i] : 1;
        xq += w * (double)x[i] * q;
        qq += w * q * q;
    }
    return qq > 0 && xq > 0 ? (float)(xq / qq) : best->d;
}

struct int_group int_round(const struct int_grid *g, const float *x, const float *h, int64_t n, uint8_t *q)
{
    struct int_group best = {0};
    float low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    for (int i = 0; i < N_SHRINK; i++) {
        float s = 1 - shrink_step * (float)i, d;
        if (g->zero >= 0)
            d = fmaxf(g->zero ? -low / (float)g->zero : 0, high / (float)(g->q_hi - g->zero)) * s;
        else
            d = (high - low) * s / (float)g->q_hi;
        d = nearest_scale(g, d);
        try_scale(g, x, h, n, d, zero_of(g, low * s, d), &best);
    }
    for (int i = 0; i < N_TURN; i++)
        try_scale(g, x, h, n, least_squares(g, x, h, n, &best), best.z, &best);
    for (int64_t i = 0; i < n; i++)
        q[i] = (uint8_t)code_of(g, x[i], 1 / best.d, best.z);
    return best;
}
