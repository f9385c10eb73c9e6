/* Rows in the integer formats of published layouts (int4.c, int8.c), whose `ints` says how scales and zero points may be: blocks of
 * a group that is longer than they are have its scale each. */
#ifndef LATHE_QUANT_INT_FIT_H
#define LATHE_QUANT_INT_FIT_H
#include "quant/encode.h"
#include "quant/int_round.h"

/* Columns that share a scale. */
int int_fit_group(const struct format *f);
/* One row, or n columns of it that are whole groups, taken apart to out[n / block_n]; h[n] weighs columns (NULL: alike). A group
 * with a number that is none becomes NaN as a whole. */
void int_fit(const struct format *f, const float *x, const float *h, int64_t n, struct parts *out);
/* format_encode of them. */
void int_encode(const struct format *f, const float *x, const float *h, uint8_t *y, int64_t n_row,
                int64_t n_col);
/* The zero point of a block. */
int int_fit_zero(const struct format *f, const struct parts *p);
#endif
