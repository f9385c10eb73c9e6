/* What a matrix is multiplied with, as second moments: H = sum over calibration rows of x x^T, and its factor. All that GPTQ, AWQ
 * and importances need to know of the inputs: the error of a product is tr(E H E^T) of the error E of the weights (Frantar et al.
 * 2022, section 3.1). */
#ifndef LATHE_SHAPE_HESSIAN_H
#define LATHE_SHAPE_HESSIAN_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct pool;

struct hessian {
    int n, stride;         /* columns, and those of a row of h: n up to whole groups of 16 */
    int64_t n_row;         /* seen */
    float *h;              /* [n][stride]; right of the diagonal and on it; left of it is room */
    float *lanes, *across; /* room of hessian_add */
};

/* Zero, for inputs of n columns. NOMEM. */
int hessian_new(int n, struct hessian *out, struct lathe_err *err);
void hessian_free(struct hessian *h);
/* What one takes, hessian_factor included. */
uint64_t hessian_bytes(int n);
/* Adds rows x[n_row][stride]: each element in ascending order of rows, so that threads do not matter. */
void hessian_add(struct hessian *h, struct pool *pool, const float *x, int64_t stride, int n_row);
/* out[n] = mean of the squares of each column. */
void hessian_diagonal(const struct hessian *h, float *out);

/* In place: columns in another order (column i becomes what order[i] was), `damping` times the mean of the diagonal added to it, and
 * H = R^T R with R right of the diagonal and on it. Returns what was added at last: where H is singular the damping grows tenfold
 * until it is not; negative if no damping up to the mean itself helps (H is not finite). */
double hessian_factor(struct hessian *h, struct pool *pool, const int *order, double damping);
/* Rows of R divided by their diagonals, which go to d[n]: H = R'^T D^2 R'. */
void hessian_unit(struct hessian *h, float *d);
#endif
