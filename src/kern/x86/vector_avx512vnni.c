/* Quantize, norm, rotary, activation, softmax, sampling kernels for AVX-512; bit for bit those of
 * kern/ref/vector_c.c. */
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

/* Four vectors to one of their four largest (or summed) lanes. */
static inline __m128i max_of_lanes(__m512i v)
{
    __m256i h = _mm256_max_epu32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    return _mm_max_epu32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
}

static inline __m128i max_of_four(__m128i a, __m128i b, __m128i c, __m128i d)
{
    __m128i ab = _mm_max_epu32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b)); /* a0 b0 a1 b1 */
    __m128i cd = _mm_max_epu32(_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
    return _mm_max_epu32(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd));
}

/* Four registers of four dwords each, transposed, to 64 bytes. */
static inline void store_transposed(const __m128i v[4], int8_t *out)
{
    __m128i lo01 = _mm_unpacklo_epi32(v[0], v[1]), lo23 = _mm_unpacklo_epi32(v[2], v[3]);
    __m128i hi01 = _mm_unpackhi_epi32(v[0], v[1]), hi23 = _mm_unpackhi_epi32(v[2], v[3]);
    _mm_storeu_si128((__m128i *)out, _mm_unpacklo_epi64(lo01, lo23));
    _mm_storeu_si128((__m128i *)(out + 16), _mm_unpackhi_epi64(lo01, lo23));
    _mm_storeu_si128((__m128i *)(out + 32), _mm_unpacklo_epi64(hi01, hi23));
    _mm_storeu_si128((__m128i *)(out + 48), _mm_unpackhi_epi64(hi01, hi23));
}

/* One block of four tokens; x[t] of absent tokens points to zeros. */
static inline void quantize_block(const float *const x[ACT_GROUP], struct act_block *b)
{
    const __m512i abs_mask = _mm512_set1_epi32(0x7fffffff);
    __m512 v[ACT_GROUP][2];
    __m128i m[ACT_GROUP], q[2][ACT_GROUP];
    for (int t = 0; t < ACT_GROUP; t++) {
        v[t][0] = _mm512_loadu_ps(x[t]);
        v[t][1] = _mm512_loadu_ps(x[t] + 16);
        m[t] = max_of_lanes(_mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(v[t][0]), abs_mask),
                                             _mm512_and_si512(_mm512_castps_si512(v[t][1]), abs_mask)));
    }
    __m128i amax_bits = max_of_four(m[0], m[1], m[2], m[3]);
    __m128 amax = _mm_castsi128_ps(amax_bits), largest = _mm_set1_ps(127.0f);
    __m128 d = _mm_div_ps(amax, largest), inverse = _mm_div_ps(largest, amax);
    __mmask8 bad = _mm_cmpge_epu32_mask(amax_bits, _mm_set1_epi32(0x7f800000));
    __mmask8 zero = _mm_cmp_ps_mask(inverse, _mm_set1_ps(3e38f), _CMP_GT_OQ);
    d = _mm_mask_mov_ps(_mm_maskz_mov_ps((__mmask8)~zero, d), bad,
                        _mm_castsi128_ps(_mm_set1_epi32(0x7fc00000)));
    inverse = _mm_maskz_mov_ps((__mmask8) ~(zero | bad), inverse);
    float inverses[ACT_GROUP];
    _mm_storeu_ps(inverses, inverse);
    for (int t = 0; t < ACT_GROUP; t++) {
        __m512 scale = _mm512_set1_ps(inverses[t]);
        __mmask16 use = inverses[t] > 0 ? 0xffff : 0; /* infinity times zero must not be converted */
        for (int h = 0; h < 2; h++)
            q[h][t] = _mm512_cvtepi32_epi8(_mm512_maskz_cvtps_epi32(use, _mm512_mul_ps(v[t][h], scale)));
    }
    store_transposed(q[0], b->q[0][0]);
    store_transposed(q[1], b->q[4][0]);
    __m128i sum = _mm_setzero_si128();
    for (int j = 0; j < 8; j++)
        sum = _mm_dpbusd_epi32(sum, _mm_set1_epi8(1), _mm_loadu_si128((const __m128i *)b->q[j][0]));
    _mm_storeu_ps(b->d, d);
    _mm_storeu_ps(b->s, _mm_mul_ps(d, _mm_cvtepi32_ps(sum)));
    _mm_storeu_si128((__m128i *)b->n8sum, _mm_slli_epi32(_mm_sub_epi32(_mm_setzero_si128(), sum), 3));
}

void quantize_avx512vnni(const float *x, int64_t x_stride, int n_tok, int n_col, struct act_block *out)
{
    static const float zeros[ACT_BLOCK];
    for (int b = 0; b < n_col / ACT_BLOCK; b++) {
        const float *rows[ACT_GROUP];
        for (int t = 0; t < ACT_GROUP; t++)
            rows[t] = t < n_tok ? x + t * x_stride + b * ACT_BLOCK : zeros;
        quantize_block(rows, &out[b]);
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
        const __m512i even_sign =
            _mm512_set1_epi64(0x80000000); /* even lanes: fma(b, -s, a c), odd lanes: fma(a, s, b c) */
        s = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(s), even_sign));
        _mm512_mask_storeu_ps(x + i, m, _mm512_fmadd_ps(swapped, s, _mm512_mul_ps(v, c)));
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

static inline __mmask64 key_mask(int n_key)
{
    return n_key >= 64 ? ~0ull : (1ull << n_key) - 1;
}

void span_softmax_avx512vnni(float *s, int n_query, const int *n_key, float *max, float *sum)
{
    const __m512 lowest = _mm512_set1_ps(-INFINITY);
    for (int q = 0; q < n_query; q++) {
        __mmask64 valid = key_mask(n_key[q]);
        __m512 v[4];
        for (int i = 0; i < 4; i++)
            v[i] = _mm512_mask_loadu_ps(lowest, (__mmask16)(valid >> (16 * i)), s + q * 64 + 16 * i);
        /* the second operand wins on NaN: a NaN is dropped here and comes back through the sum */
        __m512 m0 = _mm512_max_ps(v[1], _mm512_max_ps(v[0], lowest)),
               m1 = _mm512_max_ps(v[3], _mm512_max_ps(v[2], lowest));
        max[q] = _mm512_reduce_max_ps(_mm512_max_ps(m0, m1));
    }
    for (int q = 0; q < n_query; q++) {
        __mmask64 valid = key_mask(n_key[q]);
        __m512 lane = _mm512_setzero_ps(), largest = _mm512_set1_ps(max[q]);
        for (int i = 0; i < 4; i++) {
            float *at = s + q * 64 + 16 * i;
            __m512 p = exp_lanes(_mm512_sub_ps(_mm512_loadu_ps(at), largest));
            p = _mm512_maskz_mov_ps((__mmask16)(valid >> (16 * i)), p);
            _mm512_storeu_ps(at, p);
            lane = _mm512_add_ps(lane, p);
        }
        sum[q] = tree_lanes(lane);
    }
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
    __m512 a = _mm512_maskz_mov_ps(had, exp_lanes(_mm512_sub_ps(old, m))),
           b = exp_lanes(_mm512_sub_ps(new, m));
    __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(in, sum), b);
    _mm512_mask_storeu_ps(run_sum, in & has, _mm512_fmadd_ps(_mm512_maskz_loadu_ps(in, run_sum), a, scaled));
    _mm512_mask_storeu_ps(run_max, in & has, m);
    float as[LANES], bs[LANES];
    _mm512_storeu_ps(as, a);
    _mm512_storeu_ps(bs, b);
    for (int q = 0; q < n_query; q++) {
        __m512 aq = _mm512_set1_ps(as[q]), bq = _mm512_set1_ps(bs[q]);
        for (int i = 0; has >> q & 1 && i < n; i += LANES) {
            __mmask16 k = tail_mask(n - i);
            __m512 o = _mm512_mul_ps(_mm512_maskz_loadu_ps(k, out + q * n + i), bq);
            __m512 r = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(k, run_out + q * n + i), aq, o);
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
