/* GPTQ: rounding column after column, each error made up for by the columns that are still to be rounded (Frantar et al. 2022), in
 * the form of a factor without inverse (LDLQ: Chee et al. 2023, section 3 and theorem 6: it is the same). */
#ifndef LATHE_SHAPE_GPTQ_H
#define LATHE_SHAPE_GPTQ_H
#include "quant/format.h"
#include "shape/hessian.h"

/* What the matrices that read one input share. */
struct gptq_input {
    struct hessian *h; /* the caller's; its factor afterwards */
    int n;             /* columns */
    int *perm;         /* column i of the coded rows is column perm[i] of the matrix; NULL: column i */
    int *order;        /* [n] columns of the coded rows by position */
    int *column;       /* [n] those of the matrix */
    float *d;          /* [n] the factor's diagonal, by position */
    float *importance; /* [n] mean squares of the input, by column of the matrix */
    double damping;    /* that was needed */
};

/* Factors h. Columns are put in an order, large inputs last, in which the blocks of every format stay whole; n % 32 == 0. damping: a
 * share of the mean of the diagonal. sorted: rows are coded with their columns in the order of the inputs' size, largest first
 * (act-order), so that groups are of columns of one size. NUMERIC if H is not finite. */
int gptq_prepare(struct hessian *h, struct pool *pool, double damping, bool sorted, struct gptq_input *out,
                 struct lathe_err *err);
void gptq_input_free(struct gptq_input *in);

/* What rounding did to the products, over their size: sum |W x - Q x|^2 / sum |W x|^2 over the calibration rows, damping included. */
struct gptq_error {
    double error, plain, value; /* plain: by rounding alone */
};

enum { GPTQ_ROWS = 16, GPTQ_EACH = 256 /* what windows of positions are multiples of, all but the last */ };

/* 16 rows or fewer: x[n_row][n] to y, coded: positions [first, last) of the order, after those from `last` on, whose errors are in
 * lost[n] from then. n % block_n == 0. Adds to e->error. */
void gptq_rows(const struct format *f, const struct gptq_input *in, const float *x, int n_row, int first,
               int last, float (*lost)[GPTQ_ROWS], uint8_t *y, struct gptq_error *e);
/* What rounding alone loses, and the size of the products: terms of positions [first, last), added to e->plain and e->value. */
void gptq_compare(const struct format *f, const struct gptq_input *in, const float *x, int n_row, int first,
                  int last, struct gptq_error *e);
#endif
