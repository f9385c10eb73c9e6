/* The tiles of the native class in plain C: what one instruction set's bf16 dot makes of bf16 weights and of activations
 * rounded to bf16. Denormals are zero on both sides of each operation. */
#include <math.h>
#include "kern/scalar.h"
#include "kern/kern.h"
#if defined(__x86_64__) && !defined(LATHE_PLAIN_KERNELS) /* where their rows are */

static float flush(float v)
{
    return fabsf(v) < 0x1p-126f ? copysignf(0, v) : v;
}

/* A sum that rounds to the smallest normal number may have been below it: with an exponent that has no bound it would
 * have stayed there, and is zero. */
static float fused(float a, float b, float acc)
{
    float v = __builtin_fmaf(a, b, acc);
    if (fabsf(v) == 0x1p-126f && fabs((double)a * (double)b + (double)acc) < 0x1p-126 * (1 - 0x1p-25))
        return copysignf(0, v);
    return flush(v);
}

static float weight(const uint16_t *w)
{
    return flush(bf16_to_f32(*w));
}

static float activation(float x)
{
    return bf16_to_f32(f32_to_bf16(flush(x)));
}

/* w and x of one output; n_k columns. */
struct dot {
    const uint16_t *w;
    int64_t w_stride;
    const float *x;
    int n_k;
};

static float product(const struct dot *d, int k, float acc)
{
    if (k >= d->n_k)
        return fused(0, 0, acc);
    return fused(weight(d->w + k * d->w_stride), activation(d->x[k]), acc);
}

/* Pairs of columns, the second of each first, in turns to two sums. */
static float dot_pairs(const struct dot *d)
{
    float sum[2] = {0};
    for (int k = 0; k < d->n_k; k += 2)
        sum[k / 2 % 2] = product(d, k, product(d, k + 1, sum[k / 2 % 2]));
    return sum[0] + sum[1];
}

/* Steps of 32 columns in turns to four sums; of a step, even and odd columns are summed apart. */
static float dot_steps(const struct dot *d)
{
    float sum[4] = {0};
    for (int step = 0; step * 32 < d->n_k; step++) {
        float even = 0, odd = 0;
        for (int k = 0; k < 32; k += 2) {
            even = product(d, step * 32 + k, even);
            odd = product(d, step * 32 + k + 1, odd);
        }
        sum[step % 4] = flush(sum[step % 4] + flush(even + odd));
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

#define TILE(name, sum_of)                                                                            \
    void name(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k, const float *x, \
              int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)                      \
    {                                                                                                 \
        for (int i = 0; i < n_tok * n_group * LANES; i++) {                                           \
            int t = i / (n_group * LANES), g = i / LANES % n_group, r = i % LANES;                    \
            struct dot d = {(const uint16_t *)w + g * w_group + r, w_stride, x + t * x_stride, n_k};  \
            float *out = y + t * y_stride + g * LANES + r, v = sum_of(&d);                            \
            *out = add ? *out + v : v;                                                                \
        }                                                                                             \
    }

TILE(tile_bf16_avx512bf16_c, dot_pairs)
TILE(tile_bf16_amxbf16_c, dot_steps)
#endif
