/* Quantize, norm, rotary, activation, softmax, sampling kernels for AVX-512; bit for bit those of
 * kern/ref/vector_c.c. */
#include <immintrin.h>
#include <math.h>
#include <string.h>
#include "kern/inline.h"
#include "kern/kern.h"
#include "kern/scalar.h"

static inline __mmask16 tail_mask(int n)
{
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1u);
}

/* See scalar.h. */
static inline __m512 exp2_parts(__m512 t, __m512 r)
{
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(EXP_C5), r, _mm512_set1_ps(EXP_C4));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C3));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C2));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP_C1));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    __m512i n = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_mul_ps(p, _mm512_castsi512_ps(_mm512_add_epi32(n, _mm512_set1_epi32(EXP_ONE_BITS))));
}

static inline __m512 exp_lanes(__m512 x)
{
    const __m512 magic = _mm512_set1_ps(EXP_MAGIC), log2e = _mm512_set1_ps(EXP_LOG2E);
    x = _mm512_max_ps(_mm512_set1_ps(EXP_LO), x); /* second operand wins on NaN */
    x = _mm512_min_ps(_mm512_set1_ps(EXP_HI), x);
    __m512 t = _mm512_fmadd_ps(x, log2e, magic);
    __m512 r = _mm512_fmadd_ps(x, log2e, _mm512_sub_ps(magic, t));
    return exp2_parts(t, _mm512_fmadd_ps(x, _mm512_set1_ps(EXP_LOG2E_LO), r));
}

static inline __m512 exp2_lanes(__m512 x)
{
    const __m512 magic = _mm512_set1_ps(EXP_MAGIC);
    x = _mm512_max_ps(_mm512_set1_ps(EXP2_LO), x);
    __m512 t = _mm512_add_ps(x, magic);
    return exp2_parts(t, _mm512_add_ps(x, _mm512_sub_ps(magic, t)));
}

/* The fixed tree: halves of 8, 4, 2, 1. */
static inline float tree_lanes(__m512 v)
{
    __m256 h8 = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 h4 = _mm_add_ps(_mm256_castps256_ps128(h8), _mm256_extractf128_ps(h8, 1));
    __m128 h2 = _mm_add_ps(h4, _mm_movehl_ps(h4, h4));
    return _mm_cvtss_f32(_mm_add_ss(h2, _mm_shuffle_ps(h2, h2, 1)));
}

/* Largest of the absolute values of four tokens' 32 columns, as bits: a token per lane. */
static inline __m128i amax_bits_of(__m512 v[ACT_GROUP][2])
{
    const __m512i abs_mask = _mm512_set1_epi32(0x7fffffff);
    __m512i m[ACT_GROUP];
    UNROLL for (int t = 0; t < ACT_GROUP; t++) m[t] =
        _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(v[t][0]), abs_mask),
                         _mm512_and_si512(_mm512_castps_si512(v[t][1]), abs_mask));
    __m512i m01 = _mm512_max_epu32(_mm512_unpacklo_epi32(m[0], m[1]), _mm512_unpackhi_epi32(m[0], m[1]));
    __m512i m23 = _mm512_max_epu32(_mm512_unpacklo_epi32(m[2], m[3]), _mm512_unpackhi_epi32(m[2], m[3]));
    __m512i all = _mm512_max_epu32(_mm512_unpacklo_epi64(m01, m23), _mm512_unpackhi_epi64(m01, m23));
    __m256i h = _mm256_max_epu32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    return _mm_max_epu32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
}

/* Four lanes, a token each, summed over the quarters. */
static inline __m128i token_sums(__m512i v)
{
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* One block of n tokens, a constant. */
__attribute__((always_inline)) static inline void quantize_block(const float *x, int64_t x_stride, int n,
                                                                 struct act_block *b)
{
    __m512 v[ACT_GROUP][2];
    UNROLL for (int t = 0; t < ACT_GROUP; t++) UNROLL for (int h = 0; h < 2; h++) v[t][h] =
        t < n ? _mm512_loadu_ps(x + t * x_stride + 16 * h) : _mm512_setzero_ps();
    __m128i amax_bits = amax_bits_of(v);
    __m128 amax = _mm_castsi128_ps(amax_bits), largest = _mm_set1_ps(127.0f);
    __m128 d = _mm_div_ps(amax, largest), inverse = _mm_div_ps(largest, amax);
    __mmask8 bad = _mm_cmpge_epu32_mask(amax_bits, _mm_set1_epi32(0x7f800000));
    __mmask8 zero = _mm_cmp_ps_mask(inverse, _mm_set1_ps(3e38f), _CMP_GT_OQ);
    d = _mm_mask_mov_ps(_mm_maskz_mov_ps((__mmask8)~zero, d), bad,
                        _mm_castsi128_ps(_mm_set1_epi32(0x7fc00000)));
    __m512 inverses = _mm512_castps128_ps512(_mm_maskz_mov_ps((__mmask8) ~(zero | bad), inverse));
    if (__builtin_expect(bad, 0))
        UNROLL for (int t = 0; t < ACT_GROUP; t++) /* infinity times zero must not be converted */
            if (bad >> t & 1) v[t][0] = v[t][1] = _mm512_setzero_ps();
    __m512i sum[2];
    UNROLL for (int h = 0; h < 2; h++)
    {
        __m512i q[ACT_GROUP];
        UNROLL for (int t = 0; t < ACT_GROUP; t++) q[t] =
            t < n ? _mm512_cvtps_epi32(
                        _mm512_mul_ps(v[t][h], _mm512_permutexvar_ps(_mm512_set1_epi32(t), inverses)))
                  : _mm512_setzero_si512();
        /* within each lane of 128 bits the packs put four columns of four tokens side by side */
        __m512i line = _mm512_packs_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
        _mm512_storeu_si512(b->q[4 * h], line);
        sum[h] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), line);
    }
    __m128i low = token_sums(sum[0]), high = token_sums(sum[1]), sums = _mm_add_epi32(low, high);
    _mm_storeu_ps(b->d, d);
    _mm_storeu_ps(b->s, _mm_mul_ps(d, _mm_cvtepi32_ps(sums)));
    _mm_storeu_si128((__m128i *)b->half,
                     _mm_unpacklo_epi16(_mm_packs_epi32(low, low), _mm_packs_epi32(high, high)));
    _mm_storeu_si128((__m128i *)b->n8sum, _mm_slli_epi32(_mm_sub_epi32(_mm_setzero_si128(), sums), 3));
}

void quantize_avx512vnni(const float *x, int64_t x_stride, int n_tok, int n_col, struct act_block *out)
{
    for (int b = 0; b < n_col / ACT_BLOCK; b++, x += ACT_BLOCK)
        if (n_tok == 1)
            quantize_block(x, x_stride, 1, &out[b]);
        else if (n_tok == 2)
            quantize_block(x, x_stride, 2, &out[b]);
        else if (n_tok == 3)
            quantize_block(x, x_stride, 3, &out[b]);
        else
            quantize_block(x, x_stride, 4, &out[b]);
}

void bias_avx512vnni(const float *b, int n_tok, bool add, float *y, int64_t y_stride)
{
    const __m512 v = _mm512_loadu_ps(b);
    for (int t = 0; t < n_tok; t++)
        _mm512_storeu_ps(y + t * y_stride, add ? _mm512_add_ps(_mm512_loadu_ps(y + t * y_stride), v) : v);
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

void layernorm_avx512vnni(const float *x, const float *w, const float *b, int n, float eps, float *y)
{
    __m512 lane = _mm512_setzero_ps(), square = lane;
    for (int i = 0; i < n; i += LANES)
        lane = _mm512_add_ps(lane, _mm512_maskz_loadu_ps(tail_mask(n - i), x + i));
    __m512 mean = _mm512_set1_ps(tree_lanes(lane) / (float)n);
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        __m512 v = _mm512_maskz_sub_ps(m, _mm512_maskz_loadu_ps(m, x + i), mean);
        square = _mm512_fmadd_ps(v, v, square);
    }
    __m512 scale = _mm512_set1_ps(1.0f / sqrtf(tree_lanes(square) / (float)n + eps));
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        __m512 v = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + i), mean), scale);
        v = _mm512_fmadd_ps(v, _mm512_maskz_loadu_ps(m, w + i), _mm512_maskz_loadu_ps(m, b + i));
        _mm512_mask_storeu_ps(y + i, m, v);
    }
}

void rope_avx512vnni(const float *x, const float *cs, int n_pair, float scale, float *y)
{
    for (int i = 0; i < 2 * n_pair; i += LANES) {
        __mmask16 m = tail_mask(2 * n_pair - i);
        __m512 v = _mm512_maskz_loadu_ps(m, x + i), r = _mm512_maskz_loadu_ps(m, cs + i);
        __m512 c = _mm512_moveldup_ps(r), s = _mm512_movehdup_ps(r);
        __m512 swapped = _mm512_permute_ps(v, 0xb1);
        const __m512i even_sign =
            _mm512_set1_epi64(0x80000000); /* even lanes: fma(b, -s, a c), odd lanes: fma(a, s, b c) */
        s = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(s), even_sign));
        v = _mm512_fmadd_ps(swapped, s, _mm512_mul_ps(v, c));
        _mm512_mask_storeu_ps(y + i, m, _mm512_mul_ps(v, _mm512_set1_ps(scale)));
    }
}

void silu_mul_avx512vnni(const float *g, const float *u, float *h, int n)
{
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        __m512 gv = _mm512_maskz_loadu_ps(m, g + i), uv = _mm512_maskz_loadu_ps(m, u + i);
        __m512 minus =
            _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(gv), _mm512_set1_epi32(INT32_MIN)));
        __m512 e = _mm512_add_ps(_mm512_set1_ps(1.0f), exp_lanes(minus));
        _mm512_mask_storeu_ps(h + i, m, _mm512_mul_ps(_mm512_div_ps(gv, e), uv));
    }
}

void gelu_mul_avx512vnni(const float *g, const float *u, float *h, int n)
{
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        __m512 gv = _mm512_maskz_loadu_ps(m, g + i), uv = _mm512_maskz_loadu_ps(m, u + i);
        __m512 z = _mm512_fmadd_ps(_mm512_set1_ps(GELU_3), _mm512_mul_ps(gv, gv), _mm512_set1_ps(GELU_1));
        __m512i minus =
            _mm512_xor_si512(_mm512_castps_si512(_mm512_mul_ps(gv, z)), _mm512_set1_epi32(INT32_MIN));
        __m512 e = _mm512_add_ps(_mm512_set1_ps(1.0f), exp_lanes(_mm512_castsi512_ps(minus)));
        _mm512_mask_storeu_ps(h + i, m, _mm512_mul_ps(_mm512_div_ps(gv, e), uv));
    }
}

/* See scalar.h. */
static inline __m512 gelu_lanes(__m512 x)
{
    __m512 z = _mm512_mul_ps(x, x);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(GELU_P5), z, _mm512_set1_ps(GELU_P4));
    __m512 q = _mm512_fmadd_ps(_mm512_set1_ps(GELU_Q5), z, _mm512_set1_ps(GELU_Q4));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(GELU_P3));
    q = _mm512_fmadd_ps(q, z, _mm512_set1_ps(GELU_Q3));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(GELU_P2));
    q = _mm512_fmadd_ps(q, z, _mm512_set1_ps(GELU_Q2));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(GELU_P1));
    q = _mm512_fmadd_ps(q, z, _mm512_set1_ps(GELU_Q1));
    p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(GELU_P0));
    q = _mm512_fmadd_ps(q, z, _mm512_set1_ps(1.0f));
    __m512 half = _mm512_div_ps(_mm512_mul_ps(x, p), q), most = _mm512_set1_ps(0.5f);
    __mmask16 beyond = _mm512_cmp_ps_mask(_mm512_abs_ps(x), _mm512_set1_ps(GELU_LIMIT), _CMP_GT_OQ);
    __m512 end = _mm512_or_ps(most, _mm512_and_ps(x, _mm512_set1_ps(-0.0f)));
    return _mm512_mul_ps(x, _mm512_add_ps(_mm512_mask_mov_ps(half, beyond, end), most));
}

void gelu_avx512vnni(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        _mm512_mask_storeu_ps(y + i, m, gelu_lanes(_mm512_maskz_loadu_ps(m, x + i)));
    }
}

void glu_clamped_avx512vnni(const float *g, const float *u, float *h, int n)
{
    const __m512 limit = _mm512_set1_ps(GLU_LIMIT), one = _mm512_set1_ps(1.0f);
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        /* minimum and maximum of the first operand last: NaN passes through */
        __m512 gv = _mm512_min_ps(limit, _mm512_maskz_loadu_ps(m, g + i));
        __m512 uv = _mm512_min_ps(limit, _mm512_maskz_loadu_ps(m, u + i));
        uv = _mm512_max_ps(_mm512_set1_ps(-GLU_LIMIT), uv);
        __m512 e = _mm512_add_ps(one, exp_lanes(_mm512_mul_ps(gv, _mm512_set1_ps(-GLU_ALPHA))));
        _mm512_mask_storeu_ps(h + i, m, _mm512_mul_ps(_mm512_div_ps(gv, e), _mm512_add_ps(uv, one)));
    }
}

void softcap_avx512vnni(float *x, int n, float cap)
{
    const __m512 c = _mm512_set1_ps(cap), inner = _mm512_set1_ps(2.0f / cap), one = _mm512_set1_ps(1.0f);
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        __m512 e = _mm512_add_ps(exp_lanes(_mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + i), inner)), one);
        __m512 t = _mm512_sub_ps(one, _mm512_div_ps(_mm512_set1_ps(2.0f), e));
        _mm512_mask_storeu_ps(x + i, m, _mm512_mul_ps(c, t));
    }
}

/* The fixed tree for four vectors at once. */
static inline __m128 tree_of_four(const __m512 v[4])
{
    __m128 h[4];
    UNROLL for (int i = 0; i < 4; i++)
    {
        __m256 h8 = _mm256_add_ps(_mm512_castps512_ps256(v[i]), _mm512_extractf32x8_ps(v[i], 1));
        h[i] = _mm_add_ps(_mm256_castps256_ps128(h8), _mm256_extractf128_ps(h8, 1));
    }
    __m128 ab = _mm_add_ps(_mm_unpacklo_ps(h[0], h[1]), _mm_unpackhi_ps(h[0], h[1]));
    __m128 cd = _mm_add_ps(_mm_unpacklo_ps(h[2], h[3]), _mm_unpackhi_ps(h[2], h[3]));
    return _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
}

/* The largest lane of four vectors; without NaN. */
static inline __m128 max_of_four(const __m512 v[4])
{
    __m512 ab = _mm512_max_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    __m512 cd = _mm512_max_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    __m512d lo = _mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd)),
            hi = _mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    __m512 all = _mm512_max_ps(_mm512_castpd_ps(lo), _mm512_castpd_ps(hi));
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    return _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
}

/* Lanes of vector i of a row that hold keys. */
static inline __mmask16 key_mask(int n_key, int i)
{
    return tail_mask(n_key > 16 * i ? n_key - 16 * i : 0);
}

/* n queries, 1 to 4; `all`: every one has 64 keys. Both constants. */
__attribute__((always_inline)) static inline void softmax_rows(float *s, const int *n_key, int n, bool all,
                                                               float *max, float *sum)
{
    const __m512 lowest = _mm512_set1_ps(-INFINITY);
    const __mmask8 rows = (__mmask8)((1 << n) - 1);
    __m512 most[4] = {lowest, lowest, lowest, lowest}, lane[4];
    UNROLL for (int q = 0; q < n; q++)
    {
        __m512 v[4];
        UNROLL for (int i = 0; i < 4; i++) v[i] =
            _mm512_mask_loadu_ps(lowest, all ? 0xffff : key_mask(n_key[q], i), s + q * 64 + 16 * i);
        /* the second operand wins on NaN: a NaN is dropped here and comes back through the sum */
        most[q] = _mm512_max_ps(_mm512_max_ps(v[1], _mm512_max_ps(v[0], lowest)),
                                _mm512_max_ps(v[3], _mm512_max_ps(v[2], lowest)));
    }
    __m128 largest = max_of_four(most);
    _mm_mask_storeu_ps(max, rows, largest);
    UNROLL for (int q = 0; q < 4; q++) lane[q] = _mm512_setzero_ps();
    UNROLL for (int q = 0; q < n; q++)
    {
        __m512 m = _mm512_permutexvar_ps(_mm512_set1_epi32(q), _mm512_castps128_ps512(largest));
        UNROLL for (int i = 0; i < 4; i++)
        {
            float *at = s + q * 64 + 16 * i;
            __m512 p = exp2_lanes(_mm512_sub_ps(_mm512_loadu_ps(at), m));
            p = all ? p : _mm512_maskz_mov_ps(key_mask(n_key[q], i), p);
            _mm512_storeu_ps(at, p);
            lane[q] = _mm512_add_ps(lane[q], p);
        }
    }
    _mm_mask_storeu_ps(sum, rows, tree_of_four(lane));
}

void span_softmax_avx512vnni(float *s, int n_query, const int *n_key, float *max, float *sum)
{
    for (; n_query >= 4; n_query -= 4, s += 4 * 64, n_key += 4, max += 4, sum += 4)
        if ((n_key[0] & n_key[1] & n_key[2] & n_key[3]) == 64)
            softmax_rows(s, n_key, 4, true, max, sum);
        else
            softmax_rows(s, n_key, 4, false, max, sum);
    if (n_query == 3)
        softmax_rows(s, n_key, 3, false, max, sum);
    else if (n_query == 2)
        softmax_rows(s, n_key, 2, false, max, sum);
    else if (n_query == 1)
        softmax_rows(s, n_key, 1, false, max, sum);
}

void span_merge_avx512vnni(float *run_max, float *run_sum, float *run_out, const float *max, const float *sum,
                           const float *out, int n_query, int n)
{
    const __m512 lowest = _mm512_set1_ps(-INFINITY);
    __mmask16 in = tail_mask(n_query);
    __m512 old = _mm512_mask_loadu_ps(lowest, in, run_max), new = _mm512_mask_loadu_ps(lowest, in, max);
    __mmask16 has = _mm512_cmp_ps_mask(new, lowest, _CMP_NEQ_UQ),
              had = _mm512_cmp_ps_mask(old, lowest, _CMP_NEQ_UQ);
    __m512 m = _mm512_max_ps(new, old); /* new > old ? new : old */
    __m512 a = _mm512_maskz_mov_ps(had, exp2_lanes(_mm512_sub_ps(old, m))),
           b = exp2_lanes(_mm512_sub_ps(new, m));
    __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(in, sum), b);
    _mm512_mask_storeu_ps(run_sum, in & has,
                          _mm512_fmadd_ps(_mm512_maskz_loadu_ps(in & had, run_sum), a, scaled));
    _mm512_mask_storeu_ps(run_max, in & has, m);
    float as[LANES], bs[LANES];
    _mm512_storeu_ps(as, a);
    _mm512_storeu_ps(bs, b);
    for (int q = 0; q < n_query; q++) {
        __m512 aq = _mm512_set1_ps(as[q]), bq = _mm512_set1_ps(bs[q]);
        for (int i = 0; has >> q & 1 && i < n; i += LANES) {
            __mmask16 k = tail_mask(n - i);
            __m512 o = _mm512_mul_ps(_mm512_maskz_loadu_ps(k, out + q * n + i), bq);
            __mmask16 old_k = had >> q & 1 ? k : 0;
            __m512 r = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(old_k, run_out + q * n + i), aq, o);
            _mm512_mask_storeu_ps(run_out + q * n + i, k, r);
        }
    }
}

void to_f16_avx512vnni(const float *x, uint16_t *y, int n)
{
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        __m256i h =
            _mm512_cvtps_ph(_mm512_maskz_loadu_ps(m, x + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm256_mask_storeu_epi16(y + i, m, h);
    }
}

/* By integers, as f32_to_bf16 in quant/format.h: the bf16 instructions flush denormals. */
void to_bf16_avx512vnni(const float *x, uint16_t *y, int n)
{
    for (int i = 0; i < n; i += LANES) {
        __mmask16 m = tail_mask(n - i);
        __m512 v = _mm512_maskz_loadu_ps(m, x + i);
        __m512i u = _mm512_castps_si512(v), high = _mm512_srli_epi32(u, 16);
        __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
        __m512i up =
            _mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
        __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        up = _mm512_mask_or_epi32(up, nan, high, _mm512_set1_epi32(0x40));
        _mm256_mask_storeu_epi16(y + i, m, _mm512_cvtepi32_epi16(up));
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
