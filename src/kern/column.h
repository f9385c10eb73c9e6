/* A column of up to 12 rows of x, as tiles of f32 read it. */
#ifndef LATHE_KERN_COLUMN_H
#define LATHE_KERN_COLUMN_H
#include <stdint.h>
#include "kern/inline.h"

/* A pointer to each row would be more than there are registers, and a compiler keeps those
 * that do not fit in vector registers (Zen 4, 12 rows: 77 % of the peak): two pointers move, and the rows' distances from
 * them are 0, 1, 2, 4 (an index times its scale), 3 and 5 strides. */
struct column {
    const char *half[2];
    int64_t one, three, five; /* strides in bytes */
};

/* x: of the first row; stride in elements. */
ALWAYS struct column column_first(const float *x, int64_t stride)
{
    int64_t one = stride * (int64_t)sizeof *x;
    return (struct column){{(const char *)x, (const char *)x + 6 * one}, one, 3 * one, 5 * one};
}

/* The distances are opaque from here on: else the compiler makes pointers of them again. */
ALWAYS void column_begin(struct column *x)
{
    __asm__("" : "+r"(x->one), "+r"(x->three), "+r"(x->five));
}

ALWAYS float column_row(const struct column *x, int row)
{
    int i = row % 6;
    int64_t distance = i == 3 ? x->three : i == 5 ? x->five : i * x->one;
    return *(const float *)(x->half[row / 6] + distance);
}

ALWAYS void column_next(struct column *x)
{
    x->half[0] += sizeof(float);
    x->half[1] += sizeof(float);
}
#endif
