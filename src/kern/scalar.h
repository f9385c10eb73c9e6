/* The scalar functions of the numeric contract, as plain C. Every vector row computes exactly these steps in
 * every lane. */
#ifndef LATHE_KERN_SCALAR_H
#define LATHE_KERN_SCALAR_H
#include <stdint.h>
#include <string.h>

/* e^x: range reduction by ln 2 in two parts (Cody, Waite 1980), polynomial of Cephes' expf (Moshier), 2^n by
 * its bits. Argument clamped so that the result is a normal number; NaN passes through; e^0 is exactly 1. */
#define EXP_LO (-86.0f)
#define EXP_HI 88.0f
#define EXP_LOG2E 1.44269504088896341f
#define EXP_MAGIC 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer, to nearest even */
#define EXP_LN2_HI 0.693359375f
#define EXP_LN2_LO (-2.12194440e-4f)
#define EXP_C0 1.9875691500e-4f
#define EXP_C1 1.3981999507e-3f
#define EXP_C2 8.3334519073e-3f
#define EXP_C3 4.1665795894e-2f
#define EXP_C4 1.6666665459e-1f
#define EXP_C5 5.0000001201e-1f

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

static inline float scalar_exp(float x)
{
    x = EXP_LO > x ? EXP_LO : x;
    x = EXP_HI < x ? EXP_HI : x;
    float t = __builtin_fmaf(x, EXP_LOG2E, EXP_MAGIC);
    float n = t - EXP_MAGIC;
    float r = __builtin_fmaf(n, -EXP_LN2_HI, x);
    r = __builtin_fmaf(n, -EXP_LN2_LO, r);
    float p = __builtin_fmaf(EXP_C0, r, EXP_C1);
    p = __builtin_fmaf(p, r, EXP_C2);
    p = __builtin_fmaf(p, r, EXP_C3);
    p = __builtin_fmaf(p, r, EXP_C4);
    p = __builtin_fmaf(p, r, EXP_C5);
    float y = __builtin_fmaf(p, r * r, r) + 1.0f;
    uint32_t scale = (scalar_bits(t) - scalar_bits(EXP_MAGIC) + 127u) << 23;
    return y * scalar_from_bits(scale);
}

/* Nearest even for |x| < 2^22. */
static inline int32_t scalar_round(float x)
{
    return (int32_t)(scalar_bits(x + EXP_MAGIC) - scalar_bits(EXP_MAGIC));
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
