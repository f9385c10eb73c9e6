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
    int first, last;       /* rows of h that are summed now */
    uint64_t window_bytes; /* of h that are worked on at a time, if it is in a file; 0: it is in memory */
    float *h;              /* [n][stride]; right of the diagonal and on it; left of it is room */
    float *lanes, *across; /* room of hessian_add */
};

/* A larger one lies in a file without name in `folder`, which is mapped and worked on in windows of rows. */
struct hessian_room {
    uint64_t memory_bytes, window_bytes; /* window_bytes > 0 */
    const char *folder;
};
/* Zero, for inputs of n columns. NOMEM, IO. */
int hessian_new(int n, const struct hessian_room *room, struct hessian *out, struct lathe_err *err);
void hessian_free(struct hessian *h);
/* What one takes in memory, hessian_factor included. */
uint64_t hessian_bytes(int n);
/* Adds rows x[n_row][stride]: each element in ascending order of rows, so that threads do not matter. */
void hessian_add(struct hessian *h, struct pool *pool, const float *x, int64_t stride, int n_row);
/* All rows were added to the window. True: they are to be added once more, to the next one. */
bool hessian_next(struct hessian *h);
/* Where a window of rows ends that begins at `first` and is a multiple of `each` rows; n: all the rest. */
int hessian_window(const struct hessian *h, int first, int each);
/* out[n] = mean of the squares of each column. */
void hessian_diagonal(const struct hessian *h, float *out);

/* In place: columns in another order (column i becomes what order[i] was), `damping` times the mean of the diagonal added to it, and
 * H = R^T R with R right of the diagonal and on it. Returns what was added at last: where H is singular the damping grows tenfold
 * until it is not; negative if no damping up to the mean itself helps (H is not finite). */
double hessian_factor(struct hessian *h, struct pool *pool, const int *order, double damping);
/* Rows of R divided by their diagonals, which go to d[n]: H = R'^T D^2 R'. */
void hessian_unit(struct hessian *h, float *d);
#endif
