/* Deterministic double-precision functions. */
#include "base/detmath.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

/* pi/2 in three parts of 33 bits. n is taken in two parts as well, a multiple of 2^20 and a rest below it:
 * each times the first two parts is exact for n < 2^30, so the reduction loses nothing that matters. */
#define PIO2_1 1.57079632673412561417e+00
#define PIO2_2 6.07710050630396597660e-11
#define PIO2_3 2.02226624879595063154e-21

void det_sincos(double x, double *s, double *c)
{
    double n = nearbyint(x * 0.63661977236758134308);
    double high = nearbyint(n * 0x1p-20) * 0x1p20, low = n - high;
    double r = x - high * PIO2_1 - low * PIO2_1;
    r = r - high * PIO2_2 - low * PIO2_2;
    r = r - n * PIO2_3;
    double z = r * r;
    /* Taylor terms to r^19: below 1e-17 on |r| <= pi/4 */
    double sin_r =
        r * (1 + z * (-1.0 / 6 +
                      z * (1.0 / 120 +
                           z * (-1.0 / 5040 +
                                z * (1.0 / 362880 +
                                     z * (-1.0 / 39916800 + z * (1.0 / 6227020800.0 +
                                                                 z * (-1.0 / 1307674368000.0 +
                                                                      z * (1.0 / 355687428096000.0)))))))));
    double cos_r =
        1 + z * (-0.5 +
                 z * (1.0 / 24 +
                      z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 +
                                                                z * (1.0 / 479001600.0 +
                                                                     z * (-1.0 / 87178291200.0 +
                                                                          z * (1.0 / 20922789888000.0))))))));
    switch ((int64_t)n & 3) {
    case 0:
        *s = sin_r, *c = cos_r;
        break;
    case 1:
        *s = cos_r, *c = -sin_r;
        break;
    case 2:
        *s = -sin_r, *c = -cos_r;
        break;
    default:
        *s = -cos_r, *c = sin_r;
    }
}

#define LN2_HI 6.93147180369123816490e-01
#define LN2_LO 1.90821492927058770002e-10

double det_log(double x)
{
    int64_t bits;
    memcpy(&bits, &x, 8);
    int64_t e = (bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffff) | 0x3ff0000000000000;
    memcpy(&x, &bits, 8);
    if (x > 1.4142135623730951) {
        x /= 2;
        e++;
    }
    /* log x = 2 atanh((x - 1) / (x + 1)), |argument| <= 0.1716 */
    double f = (x - 1) / (x + 1), z = f * f, sum = 0;
    for (int k = 23; k >= 1; k -= 2)
        sum = sum * z + 1.0 / k;
    return (double)e * LN2_HI + (2 * f * sum + (double)e * LN2_LO);
}

double det_exp(double x)
{
    double n = nearbyint(x * 1.44269504088896338700);
    double r = x - n * LN2_HI - n * LN2_LO, sum = 1;
    for (int k = 18; k >= 1; k--)
        sum = 1 + sum * r / k;
    int64_t bits = ((int64_t)n + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, 8);
    return sum * scale;
}

double det_pow(double x, double y)
{
    return det_exp(y * det_log(x));
}
