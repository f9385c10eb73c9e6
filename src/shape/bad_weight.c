/* What is said of a weight that cannot be rounded. */
#include "shape/bad_weight.h"
#include <inttypes.h>

int bad_weight(const char *tensor, uint64_t row, uint64_t col, struct lathe_err *err)
{
    return err_set(err, LATHE_E_NUMERIC,
                   "tensor %.100s has a weight that is no finite number, in row %" PRIu64 ", column %" PRIu64
                   "; the file is damaged or its training failed",
                   tensor, row, col);
}
