/* Confidence intervals over a text, by resampling its chunks.
 *
 * Neighbouring tokens are not independent: a name that a model does not expect costs it the whole paragraph. What is taken as
 * independent is the chunk, whose tokens the models saw without the other chunks: of the n chunks n are drawn again and again with
 * replacement, the statistic is computed of each draw, and the interval lies between the 2.5 % and 97.5 % quantiles of those
 * (the percentile bootstrap, Efron & Tibshirani 1993, ch. 13, over blocks that do not overlap, Carlstein 1986). It needs some 20
 * chunks; with fewer it comes out too narrow, and of one chunk there is none. The draws are pseudo-random and always the same, and the
 * same for all statistics. */
#ifndef LATHE_MEASURE_INTERVAL_H
#define LATHE_MEASURE_INTERVAL_H
#include <stddef.h>
#include <stdint.h>

enum { INTERVAL_N_DRAW = 2000, INTERVAL_FEW = 20 };

struct interval {
    double value, low, high; /* low and high are NAN where there is no interval */
};

/* How often each of n_block blocks is in each draw. */
struct draws {
    int n_block;
    uint16_t *count; /* [INTERVAL_N_DRAW][n_block] */
};

/* n_block < 65536 blocks. */
void draws_init(struct draws *d, int n_block);
void draws_free(struct draws *d);

/* sum(a) / sum(b) of the blocks' sums a[n_block] and b[n_block]; NAN if no block has b. `of` is applied to the value and to the ends, and
 * has to be increasing: exp for a perplexity; NULL: nothing. */
struct interval interval_ratio(const struct draws *d, const double *a, const double *b, double (*of)(double));

struct block_value {
    float value;
    int32_t block;
};
/* The value at `share` (nearest rank, at least a half) of n values, each of a block; sorted by block_values_sort, the largest first. */
struct interval interval_quantile(const struct draws *d, const struct block_value *v, size_t n, double share);
void block_values_sort(struct block_value *v, size_t n);
#endif
