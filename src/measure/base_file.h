/* A kept reference of distributions, for Kullback-Leibler divergence against it.
 *
 * One row per scored position. A log probability is kept as 16 bits: max - (code / 65535)^2 * range, with max
 * and range per row. The spacing is finest at the top, where probability is: within d of the maximum the
 * error is at most sqrt(d * range) / 65535, about 8e-5 at d = 1 and range 30, of either sign, so that the
 * mean divergence over thousands of rows is exact to about 1e-6. */
#ifndef LATHE_MEASURE_BASE_FILE_H
#define LATHE_MEASURE_BASE_FILE_H
#include <stdio.h>
#include "base/err.h"

struct base_head {
    int32_t n_vocab, n_chunk, chunk_tokens,
        first;          /* positions first .. chunk_tokens - 2 of each chunk are rows */
    uint64_t text_hash; /* of the token ids */
};

/* Opens for writing, or for reading with the head filled in. FILE or IO name the path. */
int base_create(const char *path, const struct base_head *head, FILE **out, struct lathe_err *err);
int base_open(const char *path, struct base_head *head, FILE **out, struct lathe_err *err);

/* Appends a row. logp[n_vocab] are log probabilities. */
int base_write_row(FILE *f, const float *logp, int n_vocab, struct lathe_err *err);
/* Reads the next row: logp[n_vocab] and the likeliest token. */
int base_read_row(FILE *f, float *logp, int n_vocab, int32_t *top, struct lathe_err *err);

/* logp = log softmax(logits), in double inside; returns the index of the largest (the first of equals). */
int32_t base_log_softmax(const float *logits, int n_vocab, float *logp);
/* Sum p (log p - log q), p normalized. */
double base_divergence(const float *logp, const float *logq, int n_vocab);
#endif
