/* Quantize, norm, rotary, activation, softmax, sampling kernels in plain C: the specification. */
#include <math.h>
#include <string.h>
#include "kern/kern.h"
#include "kern/scalar.h"

/* One block of one token. The largest magnitude is taken over bit patterns, so that NaN and infinity win. */
static void quantize_block(const float *x, int t, struct act_block *b)
{
    uint32_t amax_bits = 0;
    for (int i = 0; i < ACT_BLOCK; i++) {
        uint32_t u = scalar_bits(x[i]) & 0x7fffffffu;
        amax_bits = u > amax_bits ? u : amax_bits;
    }
    float amax = scalar_from_bits(amax_bits);
    float d = amax / 127.0f;
    float inverse = amax > 0 ? 127.0f / amax : 0.0f;
    if (amax_bits >= 0x7f800000u ||
        inverse > 3e38f) { /* not finite, or too small to invert: d * 0 keeps NaN, drops denormals */
        d = amax_bits >= 0x7f800000u ? scalar_from_bits(0x7fc00000u) : 0.0f;
        inverse = 0;
    }
    int32_t sum = 0, low = 0;
    for (int i = 0; i < ACT_BLOCK; i++) {
        int32_t q = inverse > 0 ? scalar_round(x[i] * inverse) : 0;
        b->q[i / 4][t][i % 4] = (int8_t)q;
        sum += q;
        low += i < 16 ? q : 0;
    }
    b->d[t] = d;
    b->s[t] = d * (float)sum;
    b->n8sum[t] = -8 * sum;
    b->half[t][0] = (int16_t)low;
    b->half[t][1] = (int16_t)(sum - low);
}

void quantize_c(const float *x, int64_t x_stride, int n_tok, int n_col, struct act_block *out)
{
    for (int b = 0; b < n_col / ACT_BLOCK; b++) {
        memset(&out[b], 0, sizeof out[b]);
        for (int t = 0; t < n_tok; t++)
            quantize_block(x + t * x_stride + b * ACT_BLOCK, t, &out[b]);
    }
}

void bias_c(const float *b, int n_tok, bool add, float *y, int64_t y_stride)
{
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < LANES; r++)
            y[t * y_stride + r] = add ? y[t * y_stride + r] + b[r] : b[r];
}

void rmsnorm_c(const float *x, const float *w, int n, float eps, float *y)
{
    float lane[LANES] = {0};
    for (int i = 0; i < n; i++)
        lane[i % LANES] = __builtin_fmaf(x[i], x[i], lane[i % LANES]);
    float scale = 1.0f / sqrtf(scalar_tree(lane) / (float)n + eps);
    for (int i = 0; i < n; i++)
        y[i] = x[i] * scale * w[i];
}

void layernorm_c(const float *x, const float *w, const float *b, int n, float eps, float *y)
{
    float lane[LANES] = {0}, square[LANES] = {0};
    for (int i = 0; i < n; i++)
        lane[i % LANES] += x[i];
    float mean = scalar_tree(lane) / (float)n;
    for (int i = 0; i < n; i++)
        square[i % LANES] = __builtin_fmaf(x[i] - mean, x[i] - mean, square[i % LANES]);
    float scale = 1.0f / sqrtf(scalar_tree(square) / (float)n + eps);
    for (int i = 0; i < n; i++)
        y[i] = __builtin_fmaf((x[i] - mean) * scale, w[i], b[i]);
}

void rope_c(const float *x, const float *cs, int n_pair, float scale, float *y)
{
    for (int i = 0; i < n_pair; i++) {
        float a = x[2 * i], b = x[2 * i + 1], c = cs[2 * i], s = cs[2 * i + 1];
        y[2 * i] = __builtin_fmaf(-b, s, a * c) * scale;
        y[2 * i + 1] = __builtin_fmaf(a, s, b * c) * scale;
    }
}

void silu_mul_c(const float *g, const float *u, float *h, int n)
{
    for (int i = 0; i < n; i++)
        h[i] = g[i] / (1.0f + scalar_exp(-g[i])) * u[i];
}

void gelu_mul_c(const float *g, const float *u, float *h, int n)
{
    for (int i = 0; i < n; i++) {
        float z = g[i] * __builtin_fmaf(GELU_3, g[i] * g[i], GELU_1);
        h[i] = g[i] / (1.0f + scalar_exp(-z)) * u[i];
    }
}

void gelu_c(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = scalar_gelu(x[i]);
}

void glu_clamped_c(const float *g, const float *u, float *h, int n)
{
    for (int i = 0; i < n; i++) {
        float gate = g[i] > GLU_LIMIT ? GLU_LIMIT : g[i];
        float up = u[i] > GLU_LIMIT ? GLU_LIMIT : u[i] < -GLU_LIMIT ? -GLU_LIMIT : u[i];
        h[i] = gate / (1.0f + scalar_exp(gate * -GLU_ALPHA)) * (up + 1.0f);
    }
}

void softcap_c(float *x, int n, float cap)
{
    for (int i = 0; i < n; i++)
        x[i] = cap * (1.0f - 2.0f / (scalar_exp(x[i] * (2.0f / cap)) + 1.0f));
}

void span_softmax_c(float *s, int n_query, const int *n_key, float *max, float *sum)
{
    for (int q = 0; q < n_query; q++) {
        float *row = s + q * 64, m = -INFINITY, lane[LANES] = {0};
        for (int i = 0; i < n_key[q]; i++)
            m = row[i] > m ? row[i] : m; /* a NaN is dropped here and comes back through the sum */
        for (int i = 0; i < 64; i++) {
            row[i] = i < n_key[q] ? scalar_exp2(row[i] - m) : 0.0f;
            lane[i % LANES] += row[i];
        }
        max[q] = m;
        sum[q] = scalar_tree(lane);
    }
}

void span_merge_c(float *run_max, float *run_sum, float *run_out, const float *max, const float *sum,
                  const float *out, int n_query, int n)
{
    for (int q = 0; q < n_query; q++, run_out += n, out += n) {
        if (max[q] == -INFINITY)
            continue;
        float m = max[q] > run_max[q] ? max[q] : run_max[q];
        bool had = run_max[q] != -INFINITY;
        float a = had ? scalar_exp2(run_max[q] - m) : 0.0f;
        float b = scalar_exp2(max[q] - m);
        run_max[q] = m;
        run_sum[q] = __builtin_fmaf(had ? run_sum[q] : 0.0f, a, sum[q] * b);
        for (int i = 0; i < n; i++)
            run_out[i] = __builtin_fmaf(had ? run_out[i] : 0.0f, a, out[i] * b);
    }
}

void to_f16_c(const float *x, uint16_t *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = f32_to_f16(x[i]);
}

void to_bf16_c(const float *x, uint16_t *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = f32_to_bf16(x[i]);
}

int argmax_c(const float *x, int n)
{
    int best = 0;
    for (int i = 0; i < n; i++) {
        if (x[i] != x[i])
            return -1;
        if (x[i] > x[best])
            best = i;
    }
    return best;
}

float sum_exp_c(const float *x, int n, float max)
{
    float lane[LANES] = {0};
    for (int i = 0; i < n; i++)
        lane[i % LANES] += scalar_exp(x[i] - max);
    return scalar_tree(lane);
}
