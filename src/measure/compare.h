/* What a candidate's distributions over a text are worth beside a reference's: a record of each position, and statistics of them.
 *
 * Perplexity is exp of the mean negative log probability of the token that comes (Jelinek et al. 1977). The divergence of a position is
 * KL(reference || candidate) in nats over the whole vocabulary (Kullback & Leibler 1951); its quantiles say how bad the worst positions are.
 * Same top is the share of positions at which both have the same likeliest token. Mean and root mean square of the change in
 * probability of the token that comes are those of llama.cpp's perplexity tool. All have 95 % intervals (interval.h) but the largest divergence:
 * resampling says nothing about a maximum. */
#ifndef LATHE_MEASURE_COMPARE_H
#define LATHE_MEASURE_COMPARE_H
#include <stdbool.h>
#include "base/err.h"
#include "measure/interval.h"

struct compare_position {
    float nll, ref_nll; /* negative log probability of the token that comes */
    float kl;
    bool is_same_top;
};

struct compare {
    int n_chunk,
        n_position;     /* positions scored in a chunk: 0 .. n_position - 1, each predicts the next token */
    bool has_reference; /* ref_nll, kl and is_same_top are there */
    struct compare_position *v; /* [n_chunk][n_position] */
};

struct compare_summary {
    int from, to; /* positions of each chunk, both included */
    long n;
    struct interval ppl;
    /* with a reference; ppl_ratio: the candidate's over the reference's */
    struct interval ref_ppl, ppl_ratio, kl_mean, kl_50, kl_99, kl_999, same_top, dp_mean, dp_rms;
    double kl_max;
    int kl_max_chunk, kl_max_position; /* where */
};

/* v is zeroed; 16 bytes a position. */
int compare_init(struct compare *c, int n_chunk, int n_position, struct lathe_err *err);
void compare_free(struct compare *c);
/* Of positions from .. to of all chunks. */
struct compare_summary compare_summarize(const struct compare *c, const struct draws *d, int from, int to);

/* Octaves of positions: 0-31, 32-63, 64-127 ... Writes the ends of octave i of n_position positions; false past the last. */
bool compare_octave(int i, int n_position, int *from, int *to);
#endif
