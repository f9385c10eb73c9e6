/* A matrix as the integers, scales and zero points of a published layout: rounded, or taken from rows that a method made. */
#ifndef LATHE_SHAPE_FOLDER_ROUND_H
#define LATHE_SHAPE_FOLDER_ROUND_H
#include "format/packed_write.h"
#include "quant/format.h"
#include "quant/int_round.h"

struct pool;

/* The format of blocks that rows of a layout are made in, with the scales and zero points that it keeps. */
struct folder_type {
    struct format f;
    struct int_grid grid;
};

/* Of rows of n_col columns, with scales of a type. It stays where it is: f points into it. False: the layout has none for
 * such rows. */
bool folder_type_of(const struct packed_write *w, uint64_t n_col, uint32_t scale_type,
                    struct folder_type *out);

struct folder_rows {
    const struct packed_write *w;
    const float *x;          /* [n_row][n_col] */
    const float *importance; /* [n_col] of the columns; NULL: alike */
    const uint8_t *made;     /* rows in the format of blocks; NULL: x is rounded */
    const int *order;        /* column k of a row that was made is order[k] of the matrix; NULL: column k */
};
void folder_round(const struct folder_rows *r, struct pool *pool, struct packed_values *v);
#endif
