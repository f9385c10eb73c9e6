/* Noise on weights, as rounding makes it: independent, and in each 32 columns of a row as large as these are. The same numbers for the
 * same seed and row, wherever and in whatever order rows are asked for. */
#ifndef LATHE_SHAPE_NOISE_H
#define LATHE_SHAPE_NOISE_H
#include <stdint.h>

struct noise {
    uint64_t seed;
    float size; /* root of its mean square, as a share of that of the weights */
};

/* x[n_col] of row `row` with the noise on it. */
void noise_add(const struct noise *noise, int64_t row, float *x, int n_col);
#endif
