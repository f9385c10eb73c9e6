/* What rounding a tensor to a type costs its products. */
#ifndef LATHE_SHAPE_TYPE_ERROR_H
#define LATHE_SHAPE_TYPE_ERROR_H
#include "format/imatrix.h"
#include "format/model_file.h"
#include "quant/format.h"

struct pool;

/* out[n]: |W x - Q x|^2 / |W x|^2 for each of n types, columns of x taken as independent and as large as `importance` says (NULL: all
 * alike), on rows spread over the tensor. Each is a type of blocks that its rows are whole ones of. */
int type_error(const struct mf_tensor *t, const struct format *const *type, int n,
               const struct imatrix *importance, struct pool *pool, double *out, struct lathe_err *err);
#endif
