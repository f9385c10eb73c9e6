/* AWQ: columns whose inputs are large are made larger before rounding, and the inputs smaller by as much (Lin et al. 2023, section
 * 3.2). */
#ifndef LATHE_SHAPE_AWQ_H
#define LATHE_SHAPE_AWQ_H
#include "model/model.h"
#include "quant/format.h"

struct pool;

/* What was seen of an input. */
struct awq_input {
    int n;               /* columns */
    const float *square; /* [n] mean squares */
    const float *sample; /* [n_sample][n] rows of it */
    int n_sample;
    const int *share; /* [n] columns of one number get one scale, numbers from 0 on; NULL: each its own */
};

/* scale[n]: the columns of w[n_w] times it, rounded to type[n_w] (NULL: stays as it is) and divided again, give the products of the sample
 * with the least error, of those that awq.c names; ones are among them. */
void awq_search(const struct awq_input *in, struct matrix *const *w, const struct format *const *type,
                int n_w, struct pool *pool, float *scale);
/* sum |E x|^2 over the sample of errors e[n][16], of 16 rows. */
double awq_error(const struct awq_input *in, const float *e);
#endif
