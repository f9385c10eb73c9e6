/* The schemes' rows. */
#include "quant/scheme.h"

static const float iq4_book[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const uint8_t iq4_code[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const float e2m1_book[15] = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12};
static const uint8_t e2m1_code[15] = {15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7};

#define RANGE(low, high, ...) .levels = {.lo = low, .hi = high, __VA_ARGS__}, .code_0 = -(low)
#define BOOK(name) \
    .levels = {.book = name##_book, .n_book = sizeof name##_book / sizeof(float)}, .code = name##_code
#define GROUPS(n, columns) .n_group = n, .group_n = columns
#define SCALES(low, high, zero) .scale = SCHEME_SUPER, .sc_lo = low, .sc_hi = high, .sc_0 = zero
#define MINIMA(high) .has_min = true, .mn_hi = high

static const struct scheme rows[] = {
    {FORMAT_Q4_0, GROUPS(1, 32), RANGE(-8, 7)},
    {FORMAT_Q5_0, GROUPS(1, 32), RANGE(-16, 15)},
    {FORMAT_Q8_0, GROUPS(1, 32), .levels = {.lo = -127, .hi = 127},
     .code_0 = 128}, /* as others write it: without -128 */
    {FORMAT_Q4_1, GROUPS(1, 32), RANGE(0, 15), MINIMA(0)},
    {FORMAT_Q5_1, GROUPS(1, 32), RANGE(0, 31), MINIMA(0)},
    {FORMAT_Q2_K, GROUPS(16, 16), RANGE(0, 3, .below = true), SCALES(0, 15, 0), MINIMA(15)},
    {FORMAT_Q3_K, GROUPS(16, 16), RANGE(-4, 3), SCALES(-32, 31, 32)},
    {FORMAT_Q4_K, GROUPS(8, 32), RANGE(0, 15, .below = true), SCALES(0, 63, 0), MINIMA(63)},
    {FORMAT_Q5_K, GROUPS(8, 32), RANGE(0, 31, .below = true), SCALES(0, 63, 0), MINIMA(63)},
    {FORMAT_Q6_K, GROUPS(16, 16), RANGE(-32, 31), SCALES(-128, 127, 0)},
    {FORMAT_IQ4_NL, GROUPS(1, 32), BOOK(iq4)},
    {FORMAT_IQ4_XS, GROUPS(8, 32), BOOK(iq4), SCALES(-32, 31, 32)},
    {FORMAT_MXFP4, GROUPS(1, 32), BOOK(e2m1), .scale = SCHEME_POWER},
};

const struct scheme *scheme_of(uint32_t id)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].id == id)
            return &rows[i];
    return NULL;
}
