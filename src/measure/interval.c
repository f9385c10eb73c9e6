/* Confidence intervals by resampling chunks. */
#include "measure/interval.h"
#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/splitmix.h"

#define TAIL 0.025 /* of the draws on each side of a 95 % interval */

void draws_init(struct draws *d, int n_block)
{
    size_t n = (size_t)n_block;
    uint64_t state = 1;
    d->n_block = n_block;
    d->count = mem_new(sizeof *d->count * n * INTERVAL_N_DRAW);
    for (size_t draw = 0; draw < INTERVAL_N_DRAW; draw++)
        for (size_t i = 0; i < n; i++)
            d->count[draw * n + (splitmix_next(&state) >> 32) * n / ((uint64_t)1 << 32)]++;
}

void draws_free(struct draws *d)
{
    free(d->count);
    d->count = NULL;
}

static double identity(double x)
{
    return x;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The ends of the n statistics of the draws, whose order changes. */
static struct interval ends_of(double value, double *drawn, int n)
{
    struct interval out = {value, NAN, NAN};
    if (n < INTERVAL_N_DRAW / 2)
        return out;
    qsort(drawn, (size_t)n, sizeof *drawn, compare);
    out.low = drawn[(int)(TAIL * n)];
    out.high = drawn[n - 1 - (int)(TAIL * n)];
    return out;
}

struct interval interval_ratio(const struct draws *d, const double *a, const double *b, double (*of)(double))
{
    double all_a = 0, all_b = 0, drawn[INTERVAL_N_DRAW];
    int n_drawn = 0;
    of = of ? of : identity;
    for (int i = 0; i < d->n_block; i++) {
        all_a += a[i];
        all_b += b[i];
    }
    for (int draw = 0; draw < INTERVAL_N_DRAW && d->n_block > 1; draw++) {
        const uint16_t *count = d->count + (size_t)draw * (size_t)d->n_block;
        double sum_a = 0, sum_b = 0;
        for (int i = 0; i < d->n_block; i++) {
            sum_a += count[i] * a[i];
            sum_b += count[i] * b[i];
        }
        if (sum_b > 0)
            drawn[n_drawn++] = sum_a / sum_b;
    }
    struct interval out = ends_of(all_a / all_b, drawn, n_drawn);
    return (struct interval){of(out.value), of(out.low), of(out.high)};
}

static int larger_first(const void *a, const void *b)
{
    const struct block_value *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return (x->block > y->block) - (x->block < y->block);
}

void block_values_sort(struct block_value *v, size_t n)
{
    qsort(v, n, sizeof *v, larger_first);
}

/* Nearest rank, counted from above, of values that weigh `total`; weight NULL: each counts once. */
static double weighted_quantile(const struct block_value *v, size_t n, const uint16_t *weight, double total,
                                double share)
{
    double passed = 0, above = total - ceil(share * total); /* so many are larger */
    for (size_t i = 0; i < n; i++) {
        passed += weight ? weight[v[i].block] : 1;
        if (passed > above)
            return (double)v[i].value;
    }
    return NAN;
}

struct interval interval_quantile(const struct draws *d, const struct block_value *v, size_t n, double share)
{
    double drawn[INTERVAL_N_DRAW], *block_n = mem_new(sizeof *block_n * (size_t)d->n_block);
    int n_drawn = 0;
    for (size_t i = 0; i < n; i++)
        block_n[v[i].block]++;
    for (int draw = 0; draw < INTERVAL_N_DRAW && d->n_block > 1; draw++) {
        const uint16_t *count = d->count + (size_t)draw * (size_t)d->n_block;
        double total = 0;
        for (int i = 0; i < d->n_block; i++)
            total += count[i] * block_n[i];
        if (total > 0)
            drawn[n_drawn++] = weighted_quantile(v, n, count, total, share);
    }
    free(block_n);
    return ends_of(weighted_quantile(v, n, NULL, (double)n, share), drawn, n_drawn);
}
