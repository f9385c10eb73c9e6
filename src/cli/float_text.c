/* Floats as text. The numbers of an embedding are mostly between 1e-5 and 10: those are scaled to an integer of nine digits, which is exact
 * to 2e-16 of it and so reads as the same float, whose neighbours are 6e-8 away. printf takes eight times as long, which showed. */
#include "cli/float_text.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { N_DIGIT = 9 };

/* Nine digits of the integer, without the zeros at their end. */
static int digits_of(uint32_t v, char digits[N_DIGIT])
{
    for (int i = N_DIGIT - 1; i >= 0; i--, v /= 10)
        digits[i] = (char)('0' + v % 10);
    int n = N_DIGIT;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return n;
}

size_t float_text(float x, char out[FLOAT_TEXT])
{
    static const double least[] = {1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5},
                        scale[] = {1e8, 1e9, 1e10, 1e11, 1e12, 1e13};
    double a = x < 0 ? -(double)x : (double)x;
    char *p = out, digits[N_DIGIT];
    int zeros = 0;
    if (!(a >= least[5] && a < 9.99))
        return (size_t)snprintf(out, FLOAT_TEXT, "%.9g", (double)x);
    while (a < least[zeros])
        zeros++;
    uint32_t v = (uint32_t)(a * scale[zeros] + 0.5);
    if (v >= 1000000000u) /* rounded up to the next power of ten */
        return (size_t)snprintf(out, FLOAT_TEXT, "%.9g", (double)x);
    int n = digits_of(v, digits);
    if (x < 0)
        *p++ = '-';
    *p++ = zeros ? '0' : digits[0];
    if (zeros || n > 1)
        *p++ = '.';
    for (int i = 1; i < zeros; i++)
        *p++ = '0';
    int from = zeros ? 0 : 1;
    memcpy(p, digits + from, (size_t)(n - from));
    return (size_t)(p - out) + (size_t)(n - from);
}
