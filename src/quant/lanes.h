/* A few floats at once, as wide as the flags of the including file allow. Each lane is on its own and every operation is
 * IEEE's, so that a lane has the same bits whatever the width. */
#ifndef LATHE_QUANT_LANES_H
#define LATHE_QUANT_LANES_H
#include <stdint.h>
#include <string.h>

#define ALWAYS __attribute__((always_inline)) static inline

#if defined __AVX512F__
#include <immintrin.h>
typedef __m512 lanes;
enum { LANES_N = 16 };
ALWAYS lanes lanes_min(lanes a, lanes b)
{
    return _mm512_min_ps(a, b);
}
ALWAYS lanes lanes_max(lanes a, lanes b)
{
    return _mm512_max_ps(a, b);
}
/* a > b ? c : d */
ALWAYS lanes lanes_more(lanes a, lanes b, lanes c, lanes d)
{
    return _mm512_mask_mov_ps(d, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), c);
}
#elif defined __AVX2__
#include <immintrin.h>
typedef __m256 lanes;
enum { LANES_N = 8 };
ALWAYS lanes lanes_min(lanes a, lanes b)
{
    return _mm256_min_ps(a, b);
}
ALWAYS lanes lanes_max(lanes a, lanes b)
{
    return _mm256_max_ps(a, b);
}
ALWAYS lanes lanes_more(lanes a, lanes b, lanes c, lanes d)
{
    return _mm256_blendv_ps(d, c, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
}
#else
typedef float lanes __attribute__((vector_size(16)));
enum { LANES_N = 4 };
ALWAYS lanes lanes_more(lanes a, lanes b, lanes c, lanes d)
{
    typedef int32_t mask __attribute__((vector_size(16)));
    mask m = a > b;
    return (lanes)((m & (mask)c) | (~m & (mask)d));
}
ALWAYS lanes lanes_min(lanes a, lanes b)
{
    return lanes_more(b, a, a, b);
}
ALWAYS lanes lanes_max(lanes a, lanes b)
{
    return lanes_more(a, b, a, b);
}
#endif

ALWAYS lanes lanes_of(float x)
{
    return x - (lanes){0};
}

ALWAYS lanes lanes_load(const float *p)
{
    lanes v;
    memcpy(&v, p, sizeof v);
    return v;
}

ALWAYS void lanes_store(float *p, lanes v)
{
    memcpy(p, &v, sizeof v);
}

/* To the nearest integer, halves to even; |v| < 2^22: past 2^23 a float has no fraction left. */
ALWAYS lanes lanes_round(lanes v)
{
    return v + 0x1.8p23f - 0x1.8p23f;
}
#endif
