/* Quantize, norm, rotary, activation, softmax, sampling kernels for AVX2; bit for bit those of
 * kern/ref/vector_c.c. The 16 virtual lanes are two registers. */
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "kern/kern.h"
#include "kern/scalar.h"

static const int32_t mask_words[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

/* The first n (0..8) lanes; n past either end counts as the end. */
static inline __m256i first_lanes(int n)
{
    n = n < 0 ? 0 : n > 8 ? 8 : n;
    return _mm256_loadu_si256((const __m256i *)(mask_words + 8 - n));
}

static inline __m256 load_first(const float *p, int n)
{
    return n >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes(n));
}

static inline void store_first(float *p, int n, __m256 v)
{
    if (n >= 8)
        _mm256_storeu_ps(p, v);
    else
        _mm256_maskstore_ps(p, first_lanes(n), v);
}

/* The lanes of `v` that count, zero in the others. */
static inline __m256 keep_first(__m256 v, int n)
{
    return _mm256_and_ps(v, _mm256_castsi256_ps(first_lanes(n)));
}

/* See scalar.h. */
static inline __m256 exp2_parts(__m256 t, __m256 r)
{
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(EXP_C5), r, _mm256_set1_ps(EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C2));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C1));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    __m256i n = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_add_epi32(n, _mm256_set1_epi32(EXP_ONE_BITS))));
}

static inline __m256 exp_lanes(__m256 x)
{
    const __m256 magic = _mm256_set1_ps(EXP_MAGIC), log2e = _mm256_set1_ps(EXP_LOG2E);
    x = _mm256_max_ps(_mm256_set1_ps(EXP_LO), x); /* second operand wins on NaN */
    x = _mm256_min_ps(_mm256_set1_ps(EXP_HI), x);
    __m256 t = _mm256_fmadd_ps(x, log2e, magic);
    __m256 r = _mm256_fmadd_ps(x, log2e, _mm256_sub_ps(magic, t));
    return exp2_parts(t, _mm256_fmadd_ps(x, _mm256_set1_ps(EXP_LOG2E_LO), r));
}

static inline __m256 exp2_lanes(__m256 x)
{
    const __m256 magic = _mm256_set1_ps(EXP_MAGIC);
    x = _mm256_max_ps(_mm256_set1_ps(EXP2_LO), x);
    __m256 t = _mm256_add_ps(x, magic);
    return exp2_parts(t, _mm256_add_ps(x, _mm256_sub_ps(magic, t)));
}

/* The fixed tree: halves of 8, 4, 2, 1. */
static inline float tree_lanes(__m256 low, __m256 high)
{
    __m256 h8 = _mm256_add_ps(low, high);
    __m128 h4 = _mm_add_ps(_mm256_castps256_ps128(h8), _mm256_extractf128_ps(h8, 1));
    __m128 h2 = _mm_add_ps(h4, _mm_movehl_ps(h4, h4));
    return _mm_cvtss_f32(_mm_add_ss(h2, _mm_shuffle_ps(h2, h2, 1)));
}

/* No NaN in v. */
static inline float max_of_lanes(__m256 v)
{
    __m128 m4 = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 m2 = _mm_max_ps(m4, _mm_movehl_ps(m4, m4));
    return _mm_cvtss_f32(_mm_max_ss(m2, _mm_shuffle_ps(m2, m2, 1)));
}

static inline __m128i halves_max(__m256i v)
{
    return _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

/* 32 integers of -127..127 in four registers, in order, as bytes. */
static inline __m256i bytes_of(const __m256i q[4])
{
    __m256i words01 = _mm256_packs_epi32(q[0], q[1]), words23 = _mm256_packs_epi32(q[2], q[3]);
    __m256i bytes = _mm256_packs_epi16(words01, words23); /* packed per half: 4-byte groups 0 2 4 6 1 3 5 7 */
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

static inline int32_t sum_of(__m256i v)
{
    __m128i s4 = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    __m128i s2 = _mm_add_epi32(s4, _mm_shuffle_epi32(s4, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s2, _mm_shuffle_epi32(s2, 0xb1)));
}

static inline void quantize_block(const float *x, int t, struct act_block *b)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 v[4];
    __m256i q[4], amax = _mm256_setzero_si256(), total = amax, low = amax;
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_loadu_ps(x + 8 * i);
        amax = _mm256_max_epu32(amax, _mm256_castps_si256(_mm256_andnot_ps(sign, v[i])));
    }
    __m128i m4 = halves_max(amax);
    __m128i m2 = _mm_max_epu32(m4, _mm_shuffle_epi32(m4, 0x4e));
    uint32_t amax_bits = (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(m2, _mm_shuffle_epi32(m2, 0xb1)));
    float largest = scalar_from_bits(amax_bits);
    float d = largest / 127.0f;
    float inverse = largest > 0 ? 127.0f / largest : 0.0f;
    if (amax_bits >= 0x7f800000u || inverse > 3e38f) {
        d = amax_bits >= 0x7f800000u ? scalar_from_bits(0x7fc00000u) : 0.0f;
        inverse = 0;
    }
    for (int i = 0; i < 4; i++) {
        q[i] = inverse > 0 ? _mm256_cvtps_epi32(_mm256_mul_ps(v[i], _mm256_set1_ps(inverse)))
                           : _mm256_setzero_si256();
        total = _mm256_add_epi32(total, q[i]);
        if (i == 1)
            low = total;
    }
    int32_t sum = sum_of(total), half = sum_of(low);
    int32_t words[8];
    _mm256_storeu_si256((__m256i *)words, bytes_of(q));
    for (int j = 0; j < 8; j++)
        memcpy(b->q[j][t], &words[j], 4);
    b->d[t] = d;
    b->s[t] = d * (float)sum;
    b->n8sum[t] = -8 * sum;
    b->half[t][0] = (int16_t)half;
    b->half[t][1] = (int16_t)(sum - half);
}

void quantize_avx2(const float *x, int64_t x_stride, int n_tok, int n_col, struct act_block *out)
{
    for (int b = 0; b < n_col / ACT_BLOCK; b++) {
        if (n_tok < ACT_GROUP)
            memset(&out[b], 0, sizeof out[b]);
        for (int t = 0; t < n_tok; t++)
            quantize_block(x + t * x_stride + b * ACT_BLOCK, t, &out[b]);
    }
}

void bias_avx2(const float *b, int n_tok, bool add, float *y, int64_t y_stride)
{
    for (int i = 0; i < LANES; i += 8) {
        const __m256 v = _mm256_loadu_ps(b + i);
        for (int t = 0; t < n_tok; t++) {
            float *at = y + t * y_stride + i;
            _mm256_storeu_ps(at, add ? _mm256_add_ps(_mm256_loadu_ps(at), v) : v);
        }
    }
}

void rmsnorm_avx2(const float *x, const float *w, int n, float eps, float *y)
{
    __m256 low = _mm256_setzero_ps(), high = low;
    for (int i = 0; i < n; i += LANES) {
        __m256 a = load_first(x + i, n - i);
        low = _mm256_fmadd_ps(a, a, low);
        if (n - i > 8) {
            __m256 b = load_first(x + i + 8, n - i - 8);
            high = _mm256_fmadd_ps(b, b, high);
        }
    }
    __m256 scale = _mm256_set1_ps(1.0f / sqrtf(tree_lanes(low, high) / (float)n + eps));
    for (int i = 0; i < n; i += 8) {
        __m256 v = _mm256_mul_ps(load_first(x + i, n - i), scale);
        store_first(y + i, n - i, _mm256_mul_ps(v, load_first(w + i, n - i)));
    }
}

void layernorm_avx2(const float *x, const float *w, const float *b, int n, float eps, float *y)
{
    __m256 sum[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, square[2] = {sum[0], sum[0]};
    for (int i = 0; i < n; i += 8)
        sum[i / 8 % 2] = _mm256_add_ps(sum[i / 8 % 2], load_first(x + i, n - i));
    __m256 mean = _mm256_set1_ps(tree_lanes(sum[0], sum[1]) / (float)n);
    for (int i = 0; i < n; i += 8) {
        __m256 v = keep_first(_mm256_sub_ps(load_first(x + i, n - i), mean), n - i);
        square[i / 8 % 2] = _mm256_fmadd_ps(v, v, square[i / 8 % 2]);
    }
    __m256 scale = _mm256_set1_ps(1.0f / sqrtf(tree_lanes(square[0], square[1]) / (float)n + eps));
    for (int i = 0; i < n; i += 8) {
        __m256 v = _mm256_mul_ps(_mm256_sub_ps(load_first(x + i, n - i), mean), scale);
        store_first(y + i, n - i, _mm256_fmadd_ps(v, load_first(w + i, n - i), load_first(b + i, n - i)));
    }
}

void rope_avx2(const float *x, const float *cs, int n_pair, float scale, float *y)
{
    /* even lanes: fma(b, -s, a c), odd lanes: fma(a, s, b c) */
    const __m256 even_sign = _mm256_castsi256_ps(_mm256_set1_epi64x(0x80000000));
    for (int i = 0; i < 2 * n_pair; i += 8) {
        int n = 2 * n_pair - i;
        __m256 v = load_first(x + i, n), r = load_first(cs + i, n);
        __m256 c = _mm256_moveldup_ps(r), s = _mm256_xor_ps(_mm256_movehdup_ps(r), even_sign);
        v = _mm256_fmadd_ps(_mm256_permute_ps(v, 0xb1), s, _mm256_mul_ps(v, c));
        store_first(y + i, n, _mm256_mul_ps(v, _mm256_set1_ps(scale)));
    }
}

void silu_mul_avx2(const float *g, const float *u, float *h, int n)
{
    for (int i = 0; i < n; i += 8) {
        __m256 gv = load_first(g + i, n - i), uv = load_first(u + i, n - i);
        __m256 e = _mm256_add_ps(_mm256_set1_ps(1.0f), exp_lanes(_mm256_xor_ps(gv, _mm256_set1_ps(-0.0f))));
        store_first(h + i, n - i, _mm256_mul_ps(_mm256_div_ps(gv, e), uv));
    }
}

void gelu_mul_avx2(const float *g, const float *u, float *h, int n)
{
    for (int i = 0; i < n; i += 8) {
        __m256 gv = load_first(g + i, n - i), uv = load_first(u + i, n - i);
        __m256 z = _mm256_fmadd_ps(_mm256_set1_ps(GELU_3), _mm256_mul_ps(gv, gv), _mm256_set1_ps(GELU_1));
        __m256 minus = _mm256_xor_ps(_mm256_mul_ps(gv, z), _mm256_set1_ps(-0.0f));
        __m256 e = _mm256_add_ps(_mm256_set1_ps(1.0f), exp_lanes(minus));
        store_first(h + i, n - i, _mm256_mul_ps(_mm256_div_ps(gv, e), uv));
    }
}

/* See scalar.h. */
static inline __m256 gelu_lanes(__m256 x)
{
    const __m256 sign = _mm256_set1_ps(-0.0f), most = _mm256_set1_ps(0.5f);
    __m256 z = _mm256_mul_ps(x, x);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(GELU_P5), z, _mm256_set1_ps(GELU_P4));
    __m256 q = _mm256_fmadd_ps(_mm256_set1_ps(GELU_Q5), z, _mm256_set1_ps(GELU_Q4));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(GELU_P3));
    q = _mm256_fmadd_ps(q, z, _mm256_set1_ps(GELU_Q3));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(GELU_P2));
    q = _mm256_fmadd_ps(q, z, _mm256_set1_ps(GELU_Q2));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(GELU_P1));
    q = _mm256_fmadd_ps(q, z, _mm256_set1_ps(GELU_Q1));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(GELU_P0));
    q = _mm256_fmadd_ps(q, z, _mm256_set1_ps(1.0f));
    __m256 half = _mm256_div_ps(_mm256_mul_ps(x, p), q);
    __m256 beyond = _mm256_cmp_ps(_mm256_andnot_ps(sign, x), _mm256_set1_ps(GELU_LIMIT), _CMP_GT_OQ);
    half = _mm256_blendv_ps(half, _mm256_or_ps(most, _mm256_and_ps(x, sign)), beyond);
    return _mm256_mul_ps(x, _mm256_add_ps(half, most));
}

void gelu_avx2(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i += 8)
        store_first(y + i, n - i, gelu_lanes(load_first(x + i, n - i)));
}

void glu_clamped_avx2(const float *g, const float *u, float *h, int n)
{
    const __m256 limit = _mm256_set1_ps(GLU_LIMIT), one = _mm256_set1_ps(1.0f);
    for (int i = 0; i < n; i += 8) {
        __m256 gv = _mm256_min_ps(limit, load_first(g + i, n - i));
        __m256 uv = _mm256_max_ps(_mm256_set1_ps(-GLU_LIMIT), _mm256_min_ps(limit, load_first(u + i, n - i)));
        __m256 e = _mm256_add_ps(one, exp_lanes(_mm256_mul_ps(gv, _mm256_set1_ps(-GLU_ALPHA))));
        store_first(h + i, n - i, _mm256_mul_ps(_mm256_div_ps(gv, e), _mm256_add_ps(uv, one)));
    }
}

void softcap_avx2(float *x, int n, float cap)
{
    const __m256 c = _mm256_set1_ps(cap), inner = _mm256_set1_ps(2.0f / cap), one = _mm256_set1_ps(1.0f);
    for (int i = 0; i < n; i += 8) {
        __m256 e = _mm256_add_ps(exp_lanes(_mm256_mul_ps(load_first(x + i, n - i), inner)), one);
        __m256 t = _mm256_sub_ps(one, _mm256_div_ps(_mm256_set1_ps(2.0f), e));
        store_first(x + i, n - i, _mm256_mul_ps(c, t));
    }
}

void span_softmax_avx2(float *s, int n_query, const int *n_key, float *max, float *sum)
{
    const __m256 lowest = _mm256_set1_ps(-INFINITY);
    for (int q = 0; q < n_query; q++) {
        float *row = s + q * 64;
        __m256 v[8], m = lowest, lane[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
        for (int i = 0; i < 8; i++) {
            __m256 keep = _mm256_castsi256_ps(first_lanes(n_key[q] - 8 * i));
            v[i] = _mm256_blendv_ps(lowest, _mm256_loadu_ps(row + 8 * i), keep);
            m = _mm256_max_ps(v[i], m); /* a NaN is dropped here and comes back through the sum */
        }
        float largest = max_of_lanes(m);
        for (int i = 0; i < 8; i++) {
            __m256 p = keep_first(exp2_lanes(_mm256_sub_ps(v[i], _mm256_set1_ps(largest))), n_key[q] - 8 * i);
            _mm256_storeu_ps(row + 8 * i, p);
            lane[i % 2] = _mm256_add_ps(lane[i % 2], p);
        }
        max[q] = largest;
        sum[q] = tree_lanes(lane[0], lane[1]);
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
    for (int i = 0; i < n; i += 8) {
        __m256 o = _mm256_mul_ps(load_first(out + i, n - i), _mm256_set1_ps(b));
        __m256 old = had ? load_first(run_out + i, n - i) : _mm256_setzero_ps();
        store_first(run_out + i, n - i, _mm256_fmadd_ps(old, _mm256_set1_ps(a), o));
    }
}

void span_merge_avx2(float *run_max, float *run_sum, float *run_out, const float *max, const float *sum,
                     const float *out, int n_query, int n)
{
    for (int q = 0; q < n_query; q++, run_out += n, out += n)
        if (max[q] != -INFINITY)
            merge_one(run_max + q, run_sum + q, run_out, max[q], sum[q], out, n);
}

void to_f16_avx2(const float *x, uint16_t *y, int n)
{
    for (int i = 0; i < n; i += 8) {
        __m128i h = _mm256_cvtps_ph(load_first(x + i, n - i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        if (n - i >= 8)
            _mm_storeu_si128((__m128i *)(y + i), h);
        else
            memcpy(y + i, &h, (size_t)(n - i) * 2);
    }
}

/* As f32_to_bf16 in quant/format.h. */
static inline __m256i bf16_words(__m256 v)
{
    __m256i u = _mm256_castps_si256(v),
            odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
    __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(0x40));
    return _mm256_blendv_epi8(up, quiet, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
}

void to_bf16_avx2(const float *x, uint16_t *y, int n)
{
    for (int i = 0; i < n; i += 8) {
        __m256i w = bf16_words(load_first(x + i, n - i));
        __m128i h = _mm_packus_epi32(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1));
        if (n - i >= 8)
            _mm_storeu_si128((__m128i *)(y + i), h);
        else
            memcpy(y + i, &h, (size_t)(n - i) * 2);
    }
}

int argmax_avx2(const float *x, int n)
{
    const __m256 lowest = _mm256_set1_ps(-INFINITY);
    __m256 best = lowest, nan = _mm256_setzero_ps();
    for (int i = 0; i < n; i += 8) {
        __m256 v = load_first(x + i, n - i);
        if (n - i < 8)
            v = _mm256_blendv_ps(lowest, v, _mm256_castsi256_ps(first_lanes(n - i)));
        nan = _mm256_or_ps(nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
        best = _mm256_max_ps(best, v);
    }
    if (_mm256_movemask_ps(nan))
        return -1;
    const __m256 largest = _mm256_set1_ps(max_of_lanes(best));
    for (int i = 0; i < n; i += 8) {
        __m256 hit = _mm256_cmp_ps(load_first(x + i, n - i), largest, _CMP_EQ_OQ);
        int bits = _mm256_movemask_ps(keep_first(hit, n - i));
        if (bits)
            return i + __builtin_ctz((unsigned)bits);
    }
    return -1;
}

float sum_exp_avx2(const float *x, int n, float max)
{
    __m256 low = _mm256_setzero_ps(), high = low;
    const __m256 m = _mm256_set1_ps(max);
    for (int i = 0; i < n; i += LANES) {
        __m256 e = exp_lanes(_mm256_sub_ps(load_first(x + i, n - i), m));
        low = _mm256_add_ps(low, keep_first(e, n - i));
        if (n - i > 8) {
            e = exp_lanes(_mm256_sub_ps(load_first(x + i + 8, n - i - 8), m));
            high = _mm256_add_ps(high, keep_first(e, n - i - 8));
        }
    }
    return tree_lanes(low, high);
}
