/* A distribution over a vocabulary as a systematic sample, for the divergence of others from it: some 5 KB instead of 100 KB.
 *
 * Of p the file keeps c[i] = floor(N P[i] + u) - floor(N P[i-1] + u), P the running sum of p and u in [0, 1) pseudo-random for each row:
 * what N = 2^18 samples at equal distances hit (systematic sampling, Cochran 1977, ch. 8; of distributions, Kitagawa 1996). Each c[i] / N
 * is p[i] in expectation and within 1/N of it, however improbable the token, so nothing is cut off, and there is no bias. Beside them it
 * keeps the exact sum of c log p / N. The divergence is then estimated by
 *
 *     KL(p || q) ~ 1/N sum c (log p - log q)    with an error of    sum (c/N - p) (log p - log q)
 *
 * which is 0 for q = p and small for q near p, of either sign, and shrinks with the root of the number of rows. Measured for SmolLM2
 * Q4_1 against f32 (mean divergence 0.0024): 1.3e-5 a row, so that the mean over 10^5 tokens is right to 2e-5 of its value, over 10^3 to
 * 2e-4, the 99 % quantile to 1e-3.
 *
 *     N      bytes a row   error of the mean over 10^5 rows, relative
 *     2^14   1 100         1.5e-4          The codes are Elias's gamma (1975) for the distance to the next token that
 *     2^16   2 700         5e-5            was hit, and for its count: within 13 % of their entropy. The 1000 likeliest tokens exactly,
 *     2^18   4 700         2e-5            and one number for the rest, would be 5 % off, in 4000 bytes; 16 bits for each
 *     2^20   7 800         6e-6            logit are 98 000 bytes. */
#ifndef LATHE_MEASURE_REF_ROW_H
#define LATHE_MEASURE_REF_ROW_H
#include <stddef.h>
#include "base/logits.h"

enum { REF_SAMPLES = 1 << 18 };

struct ref_row {
    double cross;  /* 1/N sum c log p */
    float nll;     /* of the token that comes */
    int32_t top;   /* the likeliest */
    size_t n_byte; /* of code, which has 8 bytes of 0 behind them */
    uint8_t *code; /* malloc-ed, grows */
    size_t cap;
};

/* The row of logits x[n], normalized in p. scratch[n]. Keeps the code's memory from call to call. */
void ref_row_encode(struct ref_row *r, const float *x, int n, const struct logits_norm *p, uint64_t seed,
                    float *scratch);
/* Estimates KL(row || y), y[n] normalized in q. False if the code is damaged. */
bool ref_row_divergence(const struct ref_row *r, const float *y, int n, const struct logits_norm *q,
                        double *out);
/* Room for n bytes of code, and 8 of 0 behind them. */
void ref_row_reserve(struct ref_row *r, size_t n);
#endif
