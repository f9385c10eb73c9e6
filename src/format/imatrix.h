/* Importance matrices: for each matrix of a model the sum of squares of every column of its inputs, over a calibration text. The file
 * is GGUF as llama.cpp has it: general.type "imatrix", and for a tensor T of n_col columns and n_mat matrices (experts)
 *
 *     T.in_sum2   f32 [n_mat][n_col]  sums of squares
 *     T.counts    f32 [n_mat]         rows that went into them
 */
#ifndef LATHE_FORMAT_IMATRIX_H
#define LATHE_FORMAT_IMATRIX_H
#include <stdint.h>
#include "base/err.h"

struct imatrix;

struct imatrix *imatrix_new(void);
void imatrix_free(struct imatrix *m);
/* Adds rows x[n_row][stride] that matrix `k` of n_mat of tensor `name` read. */
void imatrix_add(struct imatrix *m, const char *name, int n_mat, int k, const float *x, int64_t stride,
                 int n_row, int n_col);
/* After the last imatrix_add. */
void imatrix_done(struct imatrix *m);
/* Mean squares [n_col] of matrix k of a tensor, the matrix's; NULL: nothing is known of it, or of another number of columns. */
const float *imatrix_find(const struct imatrix *m, const char *name, int k, int n_col);
int imatrix_n_tensor(const struct imatrix *m);

/* Of one tensor; the imatrix's. */
struct imatrix_sums {
    const char *name;
    int n_col, n_mat;
    const float *sum, *count; /* [n_mat][n_col], [n_mat] */
};
struct imatrix_sums imatrix_get(const struct imatrix *m, int i);
/* A tensor that it has not yet. */
void imatrix_put(struct imatrix *m, const struct imatrix_sums *s);

/* FILE on anything but an importance matrix in GGUF; sums that are negative or no numbers are refused by name. */
int imatrix_read(const char *path, struct imatrix **out, struct lathe_err *err);
/* n_chunk chunks of n_ctx tokens of `text` (a name). The file appears complete or not at all. */
int imatrix_write(const struct imatrix *m, const char *path, const char *text, int n_chunk, int n_ctx,
                  struct lathe_err *err);
#endif
