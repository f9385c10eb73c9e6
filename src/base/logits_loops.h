/* The loops of logits.h, written once over vectors of 16 that the compiler cuts into what the instruction set has. The file that
 * includes this defines LOGITS_LOOPS, the name of the table. */
#include <string.h>
#include "base/logits.h"

#define LANES 16
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t lane_ints __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef double lane_sums __attribute__((vector_size(LANES * sizeof(double))));

/* Macros, since vectors wider than the instruction set's are passed to functions in ways that differ. */
#define LOAD(v, p) memcpy(&(v), (p), sizeof(lanes))
#define CHOOSE(mask, a, b) ((lanes)(((lane_ints)(a) & (mask)) | ((lane_ints)(b) & ~(mask))))
#define LARGER(a, b) CHOOSE((a) > (b), a, b)
#define ADD(sum, v) ((sum) += __builtin_convertvector(v, lane_sums))

/* e^x by Cephes' expf: n = round(x / ln 2), r = x - n ln 2 with ln 2 in two parts, a polynomial of degree 6 in r; relative error
 * below 2e-7. No x is below LEAST, whose exponential adds nothing to a sum that has a 1. */
#define LEAST -87.0f
#define MAGIC 12582912.0f
#define EXP(out, in)                                                                                        \
    do {                                                                                                    \
        lanes v_ = LARGER(in, (lanes){0} + LEAST), t_ = v_ * 1.44269504088896341f + MAGIC, n_ = t_ - MAGIC; \
        lanes r_ = v_ - n_ * 0.693359375f + n_ * 2.12194440e-4f;                                            \
        lanes p_ = ((lanes){0} + 1.9875691500e-4f) * r_ + 1.3981999507e-3f;                                 \
        p_ = ((p_ * r_ + 8.3334519073e-3f) * r_ + 4.1665795894e-2f) * r_ + 1.6666665459e-1f;                \
        p_ = (p_ * r_ + 5.0000001201e-1f) * r_ * r_ + r_ + 1.0f;                                            \
        (out) = p_ * (lanes)(((lane_ints)t_ << 23) + 0x3f800000);                                           \
    } while (0)

/* Up to 16 lanes, and `fill` in those that are not there. */
#define TAKE(v, p, n_left, fill)                               \
    do {                                                       \
        if ((n_left) >= LANES) {                               \
            LOAD(v, p);                                        \
        } else {                                               \
            (v) = (lanes){0} + (fill);                         \
            memcpy(&(v), p, (size_t)(n_left) * sizeof(float)); \
        }                                                      \
    } while (0)

static double sum_of(const lane_sums *v)
{
    double sum = 0;
    for (int i = 0; i < LANES; i++)
        sum += (*v)[i];
    return sum;
}

static bool max_loop(const float *x, int n, float *out)
{
    lanes most = (lanes){0} + x[0], wrong = {0}, v;
    for (int i = 0; i < n; i += LANES) {
        TAKE(v, x + i, n - i, x[0]);
        most = LARGER(v, most);
        wrong += v * 0.0f; /* NaN for NaN and for infinities */
    }
    *out = most[0];
    bool finite = true;
    for (int i = 0; i < LANES; i++) {
        *out = most[i] > *out ? most[i] : *out;
        finite &= wrong[i] == 0;
    }
    return finite;
}

static double sum_loop(const float *x, int n, float max)
{
    lane_sums sum = {0};
    lanes v, e;
    for (int i = 0; i < n; i += LANES) {
        TAKE(v, x + i, n - i, max + 2 * LEAST);
        v -= max;
        EXP(e, v);
        ADD(sum, e);
    }
    return sum_of(&sum);
}

static void pair_loop(const float *x, float x_max, const float *y, float y_max, int n, double out[3])
{
    lane_sums p_sum = {0}, q_sum = {0}, weighted = {0};
    lanes v, w, e;
    for (int i = 0; i < n; i += LANES) {
        TAKE(v, x + i, n - i, x_max + 2 * LEAST);
        TAKE(w, y + i, n - i, y_max + 2 * LEAST);
        v -= x_max;
        w -= y_max;
        EXP(e, w);
        ADD(q_sum, e);
        EXP(e, v);
        ADD(p_sum, e);
        e *= v - w;
        ADD(weighted, e);
    }
    out[0] = sum_of(&p_sum);
    out[1] = sum_of(&q_sum);
    out[2] = sum_of(&weighted);
}

static void exp_loop(const float *x, int n, float max, float *share)
{
    lanes v, e;
    for (int i = 0; i < n; i += LANES) {
        TAKE(v, x + i, n - i, max + 2 * LEAST);
        v -= max;
        EXP(e, v);
        memcpy(share + i, &e, sizeof *share * (size_t)(n - i < LANES ? n - i : LANES));
    }
}

const struct logits_loops LOGITS_LOOPS = {max_loop, sum_loop, pair_loop, exp_loop};
