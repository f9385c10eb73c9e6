/* Quantize, norm, rotary, activation, softmax, sampling kernels for AVX-512; bit for bit those of kern/ref/vector_c.c. */
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "kern/kern.h"
#include "kern/scalar.h"

static inline __mmask16 tail_mask(int n)
{
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1u);
}

static inline __m512 exp_lanes(__m512 x)
{
    const __m512 magic = _mm512_set1_ps(EXP_MAGIC);
    x = _mm512_max_ps(_mm512_set1_ps(EXP_LO), x); /* second operand wins on NaN */
    x = _mm512_min_ps(_mm512_set1_ps(EXP_HI), x);
    __m512 t = _mm512_fmadd_ps(x, _mm512_set1_ps(EXP_LOG2E), magic);
    __m512 n = _mm512_sub_ps(t, magic);
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_LN2_HI), x);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(-EXP_LN2_LO), r);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(EXP_C0), r, _mm512_set1_ps(EXP_C1));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C2));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C3));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C4));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C5));
    __m512 y = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0f));
    __m512i bias = _mm512_set1_epi32((int)(scalar_bits(EXP_MAGIC) - 127u));
    __m512i scale = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_castps_si512(t), bias), 23);
    return _mm512_mul_ps(y, _mm512_castsi512_ps(scale));
}

/* The fixed tree: halves of 8, 4, 2, 1. */
static inline float tree_lanes(__m512 v)
{
    __m256 h8 = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 h4 = _mm_add_ps(_mm256_castps256_ps128(h8), _mm256_extractf128_ps(h8, 1));
    __m128 h2 = _mm_add_ps(h4, _mm_movehl_ps(h4, h4));
    return _mm_cvtss_f32(_mm_add_ss(h2, _mm_shuffle_ps(h2, h2, 1)));
}

static inline void quantize_block(const float *x, int t, struct act_block *b)
{
    __m512 x0 = _mm512_loadu_ps(x), x1 = _mm512_loadu_ps(x + 16);
    const __m512i abs_mask = _mm512_set1_epi32(0x7fffffff);
    __m512i amax = _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(x0), abs_mask),
                                    _mm512_and_si512(_mm512_castps_si512(x1), abs_mask));
    uint32_t amax_bits = _mm512_reduce_max_epu32(amax);
    float largest = scalar_from_bits(amax_bits);
    float d = largest / 127.0f;
    float inverse = largest > 0 ? 127.0f / largest : 0.0f;
    if (amax_bits >= 0x7f800000u || inverse > 3e38f) {
        d = amax_bits >= 0x7f800000u ? scalar_from_bits(0x7fc00000u) : 0.0f;
        inverse = 0;
    }
    __m512i q0 = _mm512_setzero_si512(), q1 = q0;
    if (inverse > 0) {
        q0 = _mm512_cvtps_epi32(_mm512_mul_ps(x0, _mm512_set1_ps(inverse)));
        q1 = _mm512_cvtps_epi32(_mm512_mul_ps(x1, _mm512_set1_ps(inverse)));
    }
    int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(q0, q1));
    __m128i b0 = _mm512_cvtepi32_epi8(q0), b1 = _mm512_cvtepi32_epi8(q1);
    int32_t words[8];
    _mm_storeu_si128((__m128i *)words, b0);
    _mm_storeu_si128((__m128i *)(words + 4), b1);
    for (int j = 0; j < 8; j++)
        memcpy(b->q[j][t], &words[j], 4);
    b->d[t] = d;
    b->s[t] = d * (float)sum;
    b->n8sum[t] = -8 * sum;
}

void quantize_avx512vnni(const float *x, int64_t x_stride, int n_tok, int n_col, struct act_block *out)
{
    for (int b = 0; b < n_col / ACT_BLOCK; b++) {
        if (n_tok < ACT_GROUP)
            memset(&out[b], 0, sizeof out[b]);
        for (int t = 0; t < n_tok; t++)
            quantize_block(x + t * x_stride + b * ACT_BLOCK, t, &out[b]);
    }
}

void rmsnorm_avx512vnni(const float *x, const float *w, int n, float eps, float *y)
{
    __m512 lane = _mm512_setzero_ps();
    for (int i = 0; i < n; i += LANES) {
        __m512 v = _mm512_maskz_loadu_ps(tail_mask(n - i), x + i);
        lane = _mm512_fmadd_ps(v, v, lane);
    }
    float scale = 1.0f / sqrtf(tree_lanes(lane) / (float)n + eps);
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + i), _mm512_set1_ps(scale));
        _mm512_mask_storeu_ps(y + i, m, _mm512_mul_ps(v, _mm512_maskz_loadu_ps(m, w + i)));
    }
}

void rope_avx512vnni(float *x, const float *cs, int n_pair)
{
    for (int i = 0; i < 2 * n_pair; i += LANES) {
        __mmask16 m = tail_mask(2 * n_pair - i);
        __m512 v = _mm512_maskz_loadu_ps(m, x + i), r = _mm512_maskz_loadu_ps(m, cs + i);
        __m512 c = _mm512_moveldup_ps(r), s = _mm512_movehdup_ps(r);
        __m512 swapped = _mm512_permute_ps(v, 0xb1);
        const __m512i even_sign = _mm512_set1_epi64(0x80000000); /* even lanes: fma(b, -s, a c), odd lanes: fma(a, s, b c) */
        s = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(s), even_sign));
        _mm512_mask_storeu_ps(x + i, m, _mm512_fmadd_ps(swapped, s, _mm512_mul_ps(v, c)));
    }
}

void silu_mul_avx512vnni(const float *g, const float *u, float *h, int n)
{
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        __m512 gv = _mm512_maskz_loadu_ps(m, g + i), uv = _mm512_maskz_loadu_ps(m, u + i);
        __m512 minus = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(gv), _mm512_set1_epi32(INT32_MIN)));
        __m512 e = _mm512_add_ps(_mm512_set1_ps(1.0f), exp_lanes(minus));
        _mm512_mask_storeu_ps(h + i, m, _mm512_mul_ps(_mm512_div_ps(gv, e), uv));
    }
}

void span_softmax_avx512vnni(float *s, int n_query, const int *n_key, float *max, float *sum)
{
    const __m512 lowest = _mm512_set1_ps(-INFINITY);
    for (int q = 0; q < n_query; q++) {
        float *row = s + q * 64;
        __mmask64 valid = n_key[q] >= 64 ? ~0ull : (1ull << n_key[q]) - 1;
        __m512 v[4], m = lowest, lane = _mm512_setzero_ps();
        for (int i = 0; i < 4; i++) {
            v[i] = _mm512_mask_loadu_ps(lowest, (__mmask16)(valid >> (16 * i)), row + 16 * i);
            m = _mm512_max_ps(v[i], m);
        }
        float largest = _mm512_reduce_max_ps(m);
        for (int i = 0; i < 4; i++) {
            __m512 p = exp_lanes(_mm512_sub_ps(v[i], _mm512_set1_ps(largest)));
            p = _mm512_maskz_mov_ps((__mmask16)(valid >> (16 * i)), p);
            _mm512_storeu_ps(row + 16 * i, p);
            lane = _mm512_add_ps(lane, p);
        }
        max[q] = largest;
        sum[q] = tree_lanes(lane);
    }
}

void span_merge_avx512vnni(float *run_max, float *run_sum, float *run_out, float max, float sum, const float *out, int n)
{
    float m = max > *run_max ? max : *run_max;
    float a = *run_max == -INFINITY ? 0.0f : scalar_exp(*run_max - m);
    float b = max == -INFINITY ? 0.0f : scalar_exp(max - m);
    *run_max = m;
    *run_sum = __builtin_fmaf(*run_sum, a, sum * b);
    for (int i = 0; i < n; i += LANES) {
        __mmask16 k = tail_mask(n - i);
        __m512 o = _mm512_mul_ps(_mm512_maskz_loadu_ps(k, out + i), _mm512_set1_ps(b));
        __m512 r = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(k, run_out + i), _mm512_set1_ps(a), o);
        _mm512_mask_storeu_ps(run_out + i, k, r);
    }
}

void to_f16_avx512vnni(const float *x, uint16_t *y, int n)
{
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        __m256i h = _mm512_cvtps_ph(_mm512_maskz_loadu_ps(m, x + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm256_mask_storeu_epi16(y + i, m, h);
    }
}

int argmax_avx512vnni(const float *x, int n)
{
    __m512 best = _mm512_set1_ps(-INFINITY);
    __mmask16 nan = 0;
    for (int i = 0; i < n; i += LANES) {
        __m512 v = _mm512_mask_loadu_ps(_mm512_set1_ps(-INFINITY), tail_mask(n - i), x + i);
        nan |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        best = _mm512_max_ps(best, v);
    }
    if (nan)
        return -1;
    __m512 largest = _mm512_set1_ps(_mm512_reduce_max_ps(best));
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        __mmask16 hit = _mm512_mask_cmp_ps_mask(m, _mm512_maskz_loadu_ps(m, x + i), largest, _CMP_EQ_OQ);
        if (hit)
            return i + __builtin_ctz(hit);
    }
    return -1;
}

float sum_exp_avx512vnni(const float *x, int n, float max)
{
    __m512 lane = _mm512_setzero_ps();
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        __m512 e = exp_lanes(_mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + i), _mm512_set1_ps(max)));
        lane = _mm512_add_ps(lane, _mm512_maskz_mov_ps(m, e));
    }
    return tree_lanes(lane);
}
