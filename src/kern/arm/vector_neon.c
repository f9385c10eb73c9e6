/* Quantize, norm, rotary, activation, softmax, sampling kernels for NEON; bit for bit those of
 * kern/ref/vector_c.c. The 16 virtual lanes are four registers. */
#include <arm_neon.h>
#include <math.h>
#include <string.h>
#include "kern/kern.h"
#include "kern/scalar.h"

enum { QUARTERS = 4 };

/* The first n of 4, zero in the others. */
static inline float32x4_t load_first(const float *p, int n)
{
    float v[4] = {0};
    if (n >= 4)
        return vld1q_f32(p);
    for (int i = 0; i < n; i++)
        v[i] = p[i];
    return vld1q_f32(v);
}

static inline void store_first(float *p, int n, float32x4_t v)
{
    float all[4];
    if (n >= 4) {
        vst1q_f32(p, v);
        return;
    }
    vst1q_f32(all, v);
    for (int i = 0; i < n; i++)
        p[i] = all[i];
}

/* The first n lanes; n past either end counts as the end. */
static inline uint32x4_t first_lanes(int n)
{
    const int32x4_t lane = vcombine_s32(vcreate_s32(0x100000000u), vcreate_s32(0x300000002u));
    return vcgtq_s32(vdupq_n_s32(n), lane);
}

/* The lanes of `v` that count, zero in the others. */
static inline float32x4_t keep_first(float32x4_t v, int n)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), first_lanes(n)));
}

/* See scalar.h. */
static inline float32x4_t exp2_parts(float32x4_t t, float32x4_t r)
{
    float32x4_t p = vfmaq_f32(vdupq_n_f32(EXP_C4), vdupq_n_f32(EXP_C5), r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C3), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C2), p, r);
    p = vfmaq_f32(vdupq_n_f32(EXP_C1), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    uint32x4_t n = vshlq_n_u32(vreinterpretq_u32_f32(t), 23);
    return vmulq_f32(p, vreinterpretq_f32_u32(vaddq_u32(n, vdupq_n_u32(EXP_ONE_BITS))));
}

static inline float32x4_t exp_lanes(float32x4_t x)
{
    const float32x4_t magic = vdupq_n_f32(EXP_MAGIC), log2e = vdupq_n_f32(EXP_LOG2E);
    x = vminq_f32(vmaxq_f32(x, vdupq_n_f32(EXP_LO)), vdupq_n_f32(EXP_HI)); /* NaN stays */
    float32x4_t t = vfmaq_f32(magic, x, log2e);
    float32x4_t r = vfmaq_f32(vsubq_f32(magic, t), x, log2e);
    return exp2_parts(t, vfmaq_f32(r, x, vdupq_n_f32(EXP_LOG2E_LO)));
}

static inline float32x4_t exp2_lanes(float32x4_t x)
{
    const float32x4_t magic = vdupq_n_f32(EXP_MAGIC);
    x = vmaxq_f32(x, vdupq_n_f32(EXP2_LO));
    float32x4_t t = vaddq_f32(x, magic);
    return exp2_parts(t, vaddq_f32(x, vsubq_f32(magic, t)));
}

/* The fixed tree: halves of 8, 4, 2, 1. */
static inline float tree_lanes(const float32x4_t lane[QUARTERS])
{
    float32x4_t h4 = vaddq_f32(vaddq_f32(lane[0], lane[2]), vaddq_f32(lane[1], lane[3]));
    float32x2_t h2 = vadd_f32(vget_low_f32(h4), vget_high_f32(h4));
    return vget_lane_f32(h2, 0) + vget_lane_f32(h2, 1);
}

/* One block of one token: its bytes, the rest into place t of *b. */
static inline int8x16x2_t quantize_block(const float *x, int t, struct act_block *b)
{
    float32x4_t v[8];
    int16x8_t q[4];
    uint32x4_t amax = vdupq_n_u32(0);
    for (int i = 0; i < 8; i++) {
        v[i] = vld1q_f32(x + 4 * i);
        amax = vmaxq_u32(amax, vreinterpretq_u32_f32(vabsq_f32(v[i])));
    }
    uint32_t amax_bits = vmaxvq_u32(amax);
    float largest = scalar_from_bits(amax_bits);
    float d = largest / 127.0f;
    float inverse = largest > 0 ? 127.0f / largest : 0.0f;
    if (amax_bits >= 0x7f800000u || inverse > 3e38f) { /* as in vector_c.c; NaN becomes 0 */
        d = amax_bits >= 0x7f800000u ? scalar_from_bits(0x7fc00000u) : 0.0f;
        inverse = 0;
    }
    for (int i = 0; i < 4; i++) {
        int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(v[2 * i], inverse)),
                  high = vcvtnq_s32_f32(vmulq_n_f32(v[2 * i + 1], inverse));
        q[i] = vcombine_s16(vmovn_s32(low), vmovn_s32(high));
    }
    int32_t low = vaddlvq_s16(vaddq_s16(q[0], q[1])), high = vaddlvq_s16(vaddq_s16(q[2], q[3]));
    b->d[t] = d;
    b->s[t] = d * (float)(low + high);
    b->n8sum[t] = -8 * (low + high);
    b->half[t][0] = (int16_t)low;
    b->half[t][1] = (int16_t)high;
    return (int8x16x2_t){
        {vcombine_s8(vmovn_s16(q[0]), vmovn_s16(q[1])), vcombine_s8(vmovn_s16(q[2]), vmovn_s16(q[3]))}};
}

void quantize_neon(const float *x, int64_t x_stride, int n_tok, int n_col, struct act_block *out)
{
    for (int b = 0; b < n_col / ACT_BLOCK; b++) {
        int32x4x4_t low = {{vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)}}, high = low;
        if (n_tok < ACT_GROUP)
            memset(&out[b], 0, sizeof out[b]);
#pragma GCC unroll 4
        for (int t = 0; t < ACT_GROUP; t++)
            if (t < n_tok) {
                int8x16x2_t q = quantize_block(x + t * x_stride + b * ACT_BLOCK, t, &out[b]);
                low.val[t] = vreinterpretq_s32_s8(q.val[0]);
                high.val[t] = vreinterpretq_s32_s8(q.val[1]);
            }
        vst4q_s32((int32_t *)out[b].q[0], low); /* the fours of all tokens in turn */
        vst4q_s32((int32_t *)out[b].q[4], high);
    }
}

void rmsnorm_neon(const float *x, const float *w, int n, float eps, float *y)
{
    float32x4_t lane[QUARTERS];
    for (int q = 0; q < QUARTERS; q++)
        lane[q] = vdupq_n_f32(0);
    for (int i = 0; i < n; i += LANES)
#pragma GCC unroll 4
        for (int q = 0; q < QUARTERS; q++) {
            float32x4_t v = load_first(x + i + 4 * q, n - i - 4 * q);
            lane[q] = vfmaq_f32(lane[q], v, v);
        }
    float scale = 1.0f / sqrtf(tree_lanes(lane) / (float)n + eps);
    for (int i = 0; i < n; i += 4) {
        float32x4_t v = vmulq_n_f32(load_first(x + i, n - i), scale);
        store_first(y + i, n - i, vmulq_f32(v, load_first(w + i, n - i)));
    }
}

void rope_neon(const float *x, const float *cs, int n_pair, float scale, float *y)
{
    /* even lanes: fma(b, -s, a c), odd lanes: fma(a, s, b c) */
    const uint32x4_t even_sign = vreinterpretq_u32_u64(vdupq_n_u64(0x80000000u));
    for (int i = 0; i < 2 * n_pair; i += 4) {
        int n = 2 * n_pair - i;
        float32x4_t v = load_first(x + i, n), r = load_first(cs + i, n), c = vtrn1q_f32(r, r);
        uint32x4_t s = veorq_u32(vreinterpretq_u32_f32(vtrn2q_f32(r, r)), even_sign);
        v = vfmaq_f32(vmulq_f32(v, c), vrev64q_f32(v), vreinterpretq_f32_u32(s));
        store_first(y + i, n, vmulq_n_f32(v, scale));
    }
}

/* g / (1 + exp(-z)) */
static inline float32x4_t gated(float32x4_t g, float32x4_t z)
{
    return vdivq_f32(g, vaddq_f32(vdupq_n_f32(1.0f), exp_lanes(vnegq_f32(z))));
}

void silu_mul_neon(const float *g, const float *u, float *h, int n)
{
    for (int i = 0; i < n; i += 4) {
        float32x4_t gv = load_first(g + i, n - i), uv = load_first(u + i, n - i);
        store_first(h + i, n - i, vmulq_f32(gated(gv, gv), uv));
    }
}

void gelu_mul_neon(const float *g, const float *u, float *h, int n)
{
    for (int i = 0; i < n; i += 4) {
        float32x4_t gv = load_first(g + i, n - i), uv = load_first(u + i, n - i);
        float32x4_t z = vfmaq_f32(vdupq_n_f32(GELU_1), vdupq_n_f32(GELU_3), vmulq_f32(gv, gv));
        store_first(h + i, n - i, vmulq_f32(gated(gv, vmulq_f32(gv, z)), uv));
    }
}

void glu_clamped_neon(const float *g, const float *u, float *h, int n)
{
    const float32x4_t limit = vdupq_n_f32(GLU_LIMIT), one = vdupq_n_f32(1.0f);
    for (int i = 0; i < n; i += 4) {
        float32x4_t gv = vminq_f32(load_first(g + i, n - i), limit);
        float32x4_t uv = vmaxq_f32(vminq_f32(load_first(u + i, n - i), limit), vdupq_n_f32(-GLU_LIMIT));
        float32x4_t e = vaddq_f32(one, exp_lanes(vmulq_f32(gv, vdupq_n_f32(-GLU_ALPHA))));
        store_first(h + i, n - i, vmulq_f32(vdivq_f32(gv, e), vaddq_f32(uv, one)));
    }
}

void softcap_neon(float *x, int n, float cap)
{
    const float32x4_t inner = vdupq_n_f32(2.0f / cap), one = vdupq_n_f32(1.0f);
    for (int i = 0; i < n; i += 4) {
        float32x4_t e = vaddq_f32(exp_lanes(vmulq_f32(load_first(x + i, n - i), inner)), one);
        float32x4_t t = vsubq_f32(one, vdivq_f32(vdupq_n_f32(2.0f), e));
        store_first(x + i, n - i, vmulq_n_f32(t, cap));
    }
}

void span_softmax_neon(float *s, int n_query, const int *n_key, float *max, float *sum)
{
    const float32x4_t lowest = vdupq_n_f32(-INFINITY);
    for (int q = 0; q < n_query; q++) {
        float *row = s + q * 64;
        float32x4_t v[16], m = lowest, lane[QUARTERS];
        for (int i = 0; i < 16; i++) {
            v[i] = vbslq_f32(first_lanes(n_key[q] - 4 * i), vld1q_f32(row + 4 * i), lowest);
            m = vbslq_f32(vcgtq_f32(v[i], m), v[i],
                          m); /* a NaN is dropped here and comes back through the sum */
        }
        float largest = vmaxvq_f32(m);
        for (int i = 0; i < 16; i++) {
            float32x4_t p = keep_first(exp2_lanes(vsubq_f32(v[i], vdupq_n_f32(largest))), n_key[q] - 4 * i);
            vst1q_f32(row + 4 * i, p);
            lane[i % QUARTERS] = i < QUARTERS ? p : vaddq_f32(lane[i % QUARTERS], p);
        }
        max[q] = largest;
        sum[q] = tree_lanes(lane);
    }
}

static void merge_one(float *run_max, float *run_sum, float *run_out, float max, float sum, const float *out,
                      int n)
{
    bool had = *run_max != -INFINITY;
    float m = max > *run_max ? max : *run_max;
    float a = had ? scalar_exp2(*run_max - m) : 0.0f;
    float b = scalar_exp2(max - m);
    *run_max = m;
    *run_sum = __builtin_fmaf(had ? *run_sum : 0.0f, a, sum * b);
    for (int i = 0; i < n; i += 4) {
        float32x4_t o = vmulq_n_f32(load_first(out + i, n - i), b);
        float32x4_t old = had ? load_first(run_out + i, n - i) : vdupq_n_f32(0);
        store_first(run_out + i, n - i, vfmaq_n_f32(o, old, a));
    }
}

void span_merge_neon(float *run_max, float *run_sum, float *run_out, const float *max, const float *sum,
                     const float *out, int n_query, int n)
{
    for (int q = 0; q < n_query; q++, run_out += n, out += n)
        if (max[q] != -INFINITY)
            merge_one(run_max + q, run_sum + q, run_out, max[q], sum[q], out, n);
}

static inline void store_halves(uint16_t *y, int n, uint16x4_t h)
{
    if (n >= 4)
        vst1_u16(y, h);
    else
        memcpy(y, &h, (size_t)n * 2);
}

void to_f16_neon(const float *x, uint16_t *y, int n)
{
    for (int i = 0; i < n; i += 4)
        store_halves(y + i, n - i, vreinterpret_u16_f16(vcvt_f16_f32(load_first(x + i, n - i))));
}

/* As f32_to_bf16 in quant/format.h. */
static inline uint16x4_t bf16_words(float32x4_t v)
{
    uint32x4_t u = vreinterpretq_u32_f32(v), odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t up = vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    uint32x4_t quiet = vorrq_u32(u, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), up, quiet), 16);
}

void to_bf16_neon(const float *x, uint16_t *y, int n)
{
    for (int i = 0; i < n; i += 4)
        store_halves(y + i, n - i, bf16_words(load_first(x + i, n - i)));
}

int argmax_neon(const float *x, int n)
{
    float32x4_t best = vdupq_n_f32(-INFINITY);
    uint32x4_t number = vdupq_n_u32(~0u);
    for (int i = 0; i < n; i += 4) {
        float32x4_t v = load_first(x + i, n - i);
        number = vandq_u32(number, vceqq_f32(v, v));
        best = vmaxq_f32(best, vbslq_f32(first_lanes(n - i), v, best));
    }
    if (vminvq_u32(number) == 0)
        return -1;
    const float largest = vmaxvq_f32(best);
    int i = 0;
    while (i + 4 <= n && vmaxvq_u32(vceqq_f32(vld1q_f32(x + i), vdupq_n_f32(largest))) == 0)
        i += 4;
    while (x[i] != largest)
        i++;
    return i;
}

float sum_exp_neon(const float *x, int n, float max)
{
    float32x4_t lane[QUARTERS];
    for (int q = 0; q < QUARTERS; q++)
        lane[q] = vdupq_n_f32(0);
    for (int i = 0; i < n; i += LANES)
#pragma GCC unroll 4
        for (int q = 0; q < QUARTERS; q++) {
            int n_here = n - i - 4 * q;
            float32x4_t e = exp_lanes(vsubq_f32(load_first(x + i + 4 * q, n_here), vdupq_n_f32(max)));
            lane[q] = vaddq_f32(lane[q], keep_first(e, n_here));
        }
    return tree_lanes(lane);
}
