/* Rounding to the levels of NF4: a group's scale is the largest of its numbers, or less. Beside int_round.c, whose levels are integers. */
#ifndef LATHE_QUANT_LEVEL_ROUND_H
#define LATHE_QUANT_LEVEL_ROUND_H
#include <stdint.h>

/* The level nearest to x, of 16 that ascend. */
int level_nearest(const float *levels, float x);
/* The scale of n finite numbers: their largest, as bitsandbytes has it; with h, the weights of their errors, that or less, whatever has
 * the least error. */
float level_scale(const float *levels, const float *x, const float *h, int64_t n);
#endif
