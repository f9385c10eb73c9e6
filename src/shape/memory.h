/* What a quantization may take of memory that the system cannot take back. Weights, rows between layers and what was rounded lie in
 * files that are mapped, or read and written piece by piece. */
#ifndef LATHE_SHAPE_MEMORY_H
#define LATHE_SHAPE_MEMORY_H
#include "shape/calib.h"

/* A fifth of the model's size, or 64 MB if that is more. */
uint64_t memory_bound(const struct model_file *f);
/* What is left of the bound for second moments, beside what the process has and what passes will take. */
uint64_t memory_for_moments(const struct model_file *f, struct calib *c);
#endif
