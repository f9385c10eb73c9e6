/* What is said of a weight that cannot be rounded. */
#ifndef LATHE_SHAPE_BAD_WEIGHT_H
#define LATHE_SHAPE_BAD_WEIGHT_H
#include <stdint.h>
#include "base/err.h"

/* NUMERIC: the weight in a row and column of a tensor is NaN or infinite. */
int bad_weight(const char *tensor, uint64_t row, uint64_t col, struct lathe_err *err);
#endif
