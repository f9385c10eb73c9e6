/* The scalar functions of the numeric contract, as plain C. Every vector row computes exactly these steps in
 * every lane. */
#ifndef LATHE_KERN_SCALAR_H
#define LATHE_KERN_SCALAR_H
#include <stdint.h>
#include <string.h>

/* 2^x = 2^n 2^r: n the nearest integer, by adding 1.5 * 2^23; 2^r, |r| <= 1/2, a polynomial of degree 5 fitted
 * to the least largest relative error (9.1e-8) with 2^0 exactly 1; 2^n by its bits. e^x takes its n and r from
 * x log2(e), log2(e) in two parts. Arguments are clamped so that the result is a normal number; NaN
 * passes through. */
#define EXP_LO (-86.0f)
#define EXP_HI 88.0f
#define EXP2_LO (-125.0f)
#define EXP_LOG2E 1.44269504088896341f
#define EXP_LOG2E_LO 1.925963033500011519e-8f
#define EXP_MAGIC 12582912.0f
#define EXP_C1 6.9314700365e-1f
#define EXP_C2 2.4022242427e-1f
#define EXP_C3 5.5507335812e-2f
#define EXP_C4 9.6715129912e-3f
#define EXP_C5 1.3264727313e-3f
#define GELU_1 1.5957691216057308f    /* 2 sqrt(2 / pi) */
#define GELU_3 7.1354816272600249e-2f /* 0.044715 times that */
#define GLU_ALPHA 1.702f
#define GLU_LIMIT 7.0f
#define EXP_ONE_BITS 0x3f800000

/* The normal distribution Phi(x) - 1/2 = x P(x^2) / Q(x^2) for |x| <= GELU_LIMIT, fitted to the least largest error of Phi, 5.5e-9;
 * with its roundings Phi is within 1.9e-7. Beyond, what is left to 1/2 is below 3.4e-8. */
#define GELU_P0 0.398942232f
#define GELU_P1 0.0333722904f
#define GELU_P2 0.00465085497f
#define GELU_P3 0.000164322366f
#define GELU_P4 6.36002733e-06f
#define GELU_P5 2.33867041e-08f
#define GELU_Q1 0.250318021f
#define GELU_Q2 0.0283787232f
#define GELU_Q3 0.00185898517f
#define GELU_Q4 7.2400413e-05f
#define GELU_Q5 1.2165907e-06f
#define GELU_LIMIT 5.4f

static inline float scalar_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t scalar_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* 2^r times 2 to the integer in the low bits of t. */
static inline float scalar_exp2_parts(float t, float r)
{
    float p = __builtin_fmaf(EXP_C5, r, EXP_C4);
    p = __builtin_fmaf(p, r, EXP_C3);
    p = __builtin_fmaf(p, r, EXP_C2);
    p = __builtin_fmaf(p, r, EXP_C1);
    p = __builtin_fmaf(p, r, 1.0f);
    return p * scalar_from_bits((scalar_bits(t) << 23) + EXP_ONE_BITS);
}

static inline float scalar_exp(float x)
{
    x = EXP_LO > x ? EXP_LO : x;
    x = EXP_HI < x ? EXP_HI : x;
    float t = __builtin_fmaf(x, EXP_LOG2E, EXP_MAGIC);
    float r = __builtin_fmaf(x, EXP_LOG2E, EXP_MAGIC - t);
    return scalar_exp2_parts(t, __builtin_fmaf(x, EXP_LOG2E_LO, r));
}

/* For x <= 0. */
static inline float scalar_exp2(float x)
{
    x = EXP2_LO > x ? EXP2_LO : x;
    float t = x + EXP_MAGIC;
    return scalar_exp2_parts(t, x + (EXP_MAGIC - t));
}

/* Nearest even for |x| < 2^22. */
static inline int32_t scalar_round(float x)
{
    return (int32_t)(scalar_bits(x + EXP_MAGIC) - scalar_bits(EXP_MAGIC));
}

/* x Phi(x). */
static inline float scalar_gelu(float x)
{
    float z = x * x, magnitude = scalar_from_bits(scalar_bits(x) & 0x7fffffffu);
    float p = __builtin_fmaf(GELU_P5, z, GELU_P4), q = __builtin_fmaf(GELU_Q5, z, GELU_Q4);
    p = __builtin_fmaf(p, z, GELU_P3);
    p = __builtin_fmaf(p, z, GELU_P2);
    p = __builtin_fmaf(p, z, GELU_P1);
    p = __builtin_fmaf(p, z, GELU_P0);
    q = __builtin_fmaf(q, z, GELU_Q3);
    q = __builtin_fmaf(q, z, GELU_Q2);
    q = __builtin_fmaf(q, z, GELU_Q1);
    q = __builtin_fmaf(q, z, 1.0f);
    float half = x * p / q;
    if (magnitude > GELU_LIMIT)
        half = x > 0 ? 0.5f : -0.5f;
    return x * (half + 0.5f);
}

/* The fixed reduction tree over 16 lanes. */
static inline float scalar_tree(float lane[16])
{
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}
#endif
