/* Both models take a chunk at a time, each within half of the memory, and of its rows some at a time have their logits. */
#include "shape/divergence.h"
#include <math.h>
#include <stdlib.h>
#include "base/logits.h"
#include "base/mem.h"
#include "base/pool.h"

struct pair {
    struct calib *p, *q;
    const float *x, *y; /* [calib_n_out][x_stride], logits of p and of q */
    int64_t x_stride, y_stride;
    double *divergence; /* of each row of a chunk */
    int first;
};

static void compare_row(const struct pool_op *op, int row, int worker)
{
    const struct pair *a = op->arg;
    struct logits_norm p, q;
    double *out = &a->divergence[a->first + row];
    if (!logits_divergence(a->x + row * a->x_stride, a->y + row * a->y_stride,
                           calib_model(a->p)->config.n_vocab, &p, &q, out))
        *out = NAN;
}

static int compare_chunk(struct pair *a, struct pool *pool, int chunk, double *sum, struct lathe_err *err)
{
    int n_ctx = calib_ctx(a->p), most = calib_n_out(a->p);
    TRY(calib_rest(a->p, chunk, 0, NULL, NULL, err));
    TRY(calib_rest(a->q, chunk, 0, NULL, NULL, err));
    for (a->first = 0; a->first < n_ctx; a->first += most) {
        int n = n_ctx - a->first < most ? n_ctx - a->first : most;
        a->x = pass_logits(calib_pass(a->p), a->first, n, &a->x_stride);
        a->y = pass_logits(calib_pass(a->q), a->first, n, &a->y_stride);
        struct pool_op op = {.run = compare_row, .arg = a, .n_piece = n, .layer = -1, .name = "divergence"};
        pool_run(pool, &op, 1);
        pool_settle(pool);
    }
    for (int i = 0; i < n_ctx; i++)
        *sum += a->divergence[i];
    return 0;
}

static int compare_all(struct pair *a, struct pool *pool, double *out, struct lathe_err *err)
{
    int64_t n_chunk = calib_n_token(a->p) / calib_ctx(a->p);
    double sum = 0;
    a->divergence = mem_new((size_t)calib_ctx(a->p) * sizeof *a->divergence);
    for (int i = 0; i < n_chunk; i++) {
        calib_progress(a->p, "comparing", (double)i / (double)n_chunk);
        TRY(compare_chunk(a, pool, i, &sum, err));
    }
    *out = sum / (double)calib_n_token(a->p);
    return isfinite(*out)
               ? 0
               : err_set(err, LATHE_E_NUMERIC, "the models' answers to the calibration text are no numbers");
}

int divergence_measure(const char *reference, const char *path, const struct calib_options *o,
                       struct pool *pool, double *out, struct lathe_err *err)
{
    struct calib_options co = *o;
    struct pair a = {0};
    co.has_logits = true;
    co.memory_bytes /= 2;
    co.as_it_is = true;
    TRY(calib_new(reference, &co, pool, &a.p, err));
    int rc = calib_new(path, &co, pool, &a.q, err);
    if (!rc)
        rc = compare_all(&a, pool, out, err);
    free(a.divergence);
    calib_free(a.p);
    calib_free(a.q);
    return rc;
}
