/* Texts through a model that embeds, and what their vectors are worth: how well their cosines rank pairs, and how far they are from those of another
 * model. */
#ifndef LATHE_MEASURE_PAIR_RUN_H
#define LATHE_MEASURE_PAIR_RUN_H
#include "measure/interval.h"
#include "measure/pair_file.h"

struct pair_vectors {
    float *v; /* [2 * n_pair][n_embd], of length 1; malloc-ed */
    int n_embd;
    long n_token;
};

struct pair_run {
    lathe_engine *engine; /* of sequences of n_ctx tokens; longer texts lose their ends */
    const lathe_vocab *vocab;
    int n_ctx, n_embd;
    void (*progress)(void *user, double share); /* may be NULL */
    void *user;
};

int pair_run(const struct pair_run *r, const struct pair_file *f, struct pair_vectors *out,
             struct lathe_err *err);

/* Cosine of pair i. */
double pair_cosine(const struct pair_vectors *a, int i);
/* Spearman's rank correlation (1904) of x[n] and y[n], equals having the mean of their ranks, with the interval of Fieller, Hartley & Pearson
 * (1957): atanh(rho) +- 1.96 sqrt(1.06 / (n - 3)). NAN where one of them is constant. */
struct interval pair_spearman(const double *x, const double *y, int n);

/* Cosines of each text's vectors of two models: 1 is no drift. */
struct pair_drift {
    double mean, low_1, least; /* low_1: 1 % are below */
    int least_text;            /* text 2 i or 2 i + 1 of pair i */
};
struct pair_drift pair_drift_of(const struct pair_vectors *a, const struct pair_vectors *b, int n_text);
#endif
