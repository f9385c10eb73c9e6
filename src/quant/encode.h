/* Encoders: f32 to a weight format. Floats to nearest; blocks with the scales that make the squared error small
 * (search.c, super.c). The same bits on every CPU. */
#ifndef LATHE_QUANT_ENCODE_H
#define LATHE_QUANT_ENCODE_H
#include "quant/format.h"

/* y = n_row rows of x[n_col], coded, y unaligned; n_col % block_n of the format == 0. importance[n_col] weighs the errors of
 * columns; NULL: all are equal. A block with NaN or infinity in it becomes NaN as a whole, so that whoever computes with it
 * sees it. */
void format_encode(const struct format *f, const float *x, const float *importance, void *y, int64_t n_row,
                   int64_t n_col);
/* The same of formats of blocks, taken apart: n_block blocks of x and their codes with the scales found for them. importance has
 * the weights of a block's columns, the same for all of these blocks. Not of integers whose groups are longer than a block. */
struct parts;
void format_fit(const struct format *f, const float *x, const float *importance, int64_t n_block,
                struct parts *out);

/* The values that a column can have, once its block has scales: w * level + m. For whoever rounds column by column. */
enum { NEAREST_LANES = 16 };
struct nearest {
    float w[NEAREST_LANES], m[NEAREST_LANES]; /* of one group of columns in each of 16 blocks */
};
/* Scales of the group that column `col` of the blocks is in. */
void nearest_of(const struct format *f, const struct parts *blocks, int n_block, int col,
                struct nearest *out);
/* value[i] = the nearest that blocks[i] can have to x[i], and its code goes to column col of blocks[i]. */
void nearest_put(const struct format *f, const struct nearest *scales, const float *x, int col,
                 struct parts *blocks, int n_block, float *value);
/* Whether there is an encoder. */
bool format_can_encode(const struct format *f);
/* The format of an encoder by its name, in small letters or not ("q8_0"); NULL if there is none. */
const struct format *format_encoded_as(const char *name);
/* The names of all that can be encoded, with spaces between. */
void format_encoded_names(char *out, size_t n);
#endif
