/* Rows of logits as distributions: their normalization and the divergence of two of them.
 *
 * One pass over the row finds the largest, one the sums; exponentials are computed 16 at a time by a polynomial and summed in
 * double, lane by lane in a fixed order, without fused multiply-adds: the numbers are the same on every instruction set. */
#ifndef LATHE_BASE_LOGITS_H
#define LATHE_BASE_LOGITS_H
#include <stdbool.h>
#include <stdint.h>

/* log p(i) = (x[i] - max) - log_sum. */
struct logits_norm {
    int32_t top; /* the likeliest, the first of equals */
    float max;
    double log_sum;
};

/* False if one of x[n] is NaN or infinite; then nothing is written. */
bool logits_normalize(const float *x, int n, struct logits_norm *out);
static inline double logits_logp(const float *x, const struct logits_norm *norm, int32_t i)
{
    return (double)(x[i] - norm->max) - norm->log_sum;
}
/* Kullback-Leibler divergence sum p (log p - log q) in nats, p of x and q of y; both are normalized on the way, with the
 * results in *p and *q. Of a row with itself it is 0. False as above. */
bool logits_divergence(const float *x, const float *y, int n, struct logits_norm *p, struct logits_norm *q,
                       double *out);
/* share[i] = exp(x[i] - max), n of them. */
void logits_exp(const float *x, int n, float max, float *share);

/* ---- the loops, made once for each instruction set ---- */

struct logits_loops {
    /* The largest of x; false if one is not finite. */
    bool (*max)(const float *x, int n, float *out);
    /* Sum of exp(x - max). */
    double (*sum)(const float *x, int n, float max);
    /* Sums of exp(x - x_max), of exp(y - y_max), and of the first times ((x - x_max) - (y - y_max)). */
    void (*pair)(const float *x, float x_max, const float *y, float y_max, int n, double out[3]);
    void (*exp)(const float *x, int n, float max, float *share);
};
extern const struct logits_loops logits_loops_c, logits_loops_avx2, logits_loops_avx512vnni;
#endif
