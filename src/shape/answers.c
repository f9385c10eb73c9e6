/* Tokens are drawn systematically, N_DRAW at equal distances on the cumulated distribution from a start that is drawn (Madow and Madow
 * 1944), so that likely tokens come as often as they should, and the rest stands for the tail. */
#include "shape/answers.h"
#include <math.h>
#include <stdlib.h>
#include "base/detmath.h"
#include "base/logits.h"
#include "base/mem.h"
#include "base/splitmix.h"

enum { N_DRAW = 64 };

/* At one position: n different tokens, how often each was drawn, and its logit. */
struct answer {
    int n;
    int32_t id[N_DRAW];
    uint8_t count[N_DRAW];
    double logit[N_DRAW];
};

struct answers {
    struct calib *c;
    struct pool *pool;
    struct answer *v; /* [n_position] */
    double *divergence;
    float *room;  /* two rows for each worker */
    float *share; /* [n_worker][n_vocab] */
    int64_t n_position;
    int chunk;
    const struct noise *embedding, *head;
    /* of the positions whose logits are there */
    const float *logits;
    int64_t logits_stride;
    int first;
};

/* ---- logits of single tokens ---- */

static double head_logit(const struct answers *a, int32_t id, const float *hidden, float *row)
{
    const struct lathe_model *m = calib_model(a->c);
    int n = m->config.n_embd;
    double sum = m->head->bias ? (double)m->head->bias[id] : 0, cap = m->config.logit_softcap;
    matrix_row(m->head, id, row);
    if (a->head)
        noise_add(a->head, id, row, n);
    for (int i = 0; i < n; i++)
        sum += (double)row[i] * (double)hidden[i];
    if (cap > 0) { /* cap tanh(x / cap) */
        double e = det_exp(-2 * fabs(sum) / cap);
        sum = copysign(cap * (1 - e) / (1 + e), sum);
    }
    return sum;
}

/* log E[e^d] - E[d]. */
static double divergence(const struct answer *t, const double *now)
{
    double most = -INFINITY, mean = 0, sum = 0, n_drawn = 0;
    for (int i = 0; i < t->n; i++)
        most = now[i] - t->logit[i] > most ? now[i] - t->logit[i] : most;
    for (int i = 0; i < t->n; i++) {
        double d = now[i] - t->logit[i] - most;
        if (!isfinite(d))
            return NAN;
        n_drawn += t->count[i];
        mean += t->count[i] * d;
        sum += t->count[i] * det_exp(d > -600 ? d : -600);
    }
    if (!n_drawn)
        return NAN;
    double kl = det_log(sum / n_drawn) - mean / n_drawn;
    return kl > 0 ? kl : 0;
}

static void compare_position(const struct pool_op *op, int row, int worker)
{
    const struct answers *a = op->arg;
    int64_t at = (int64_t)a->chunk * calib_ctx(a->c) + row;
    const struct answer *t = &a->v[at];
    int n = calib_model(a->c)->config.n_embd;
    float *hidden = a->room + (size_t)worker * 2 * (size_t)n;
    double now[N_DRAW];
    pass_hidden(calib_pass(a->c), row, hidden);
    for (int i = 0; i < t->n; i++)
        now[i] = head_logit(a, t->id[i], hidden, hidden + n);
    a->divergence[at] = divergence(t, now);
}

/* ---- drawing ---- */

static void draw_position(const struct pool_op *op, int piece, int worker)
{
    const struct answers *a = op->arg;
    const struct lathe_model *m = calib_model(a->c);
    int row = a->first + piece, n = m->config.n_vocab, n_embd = m->config.n_embd;
    int64_t at = (int64_t)a->chunk * calib_ctx(a->c) + row;
    const float *x = a->logits + piece * a->logits_stride;
    struct answer *t = &a->v[at];
    float *hidden = a->room + (size_t)worker * 2 * (size_t)n_embd,
          *share = a->share + (size_t)worker * (size_t)n;
    struct logits_norm norm;
    double sum = 0, below = 0;
    if (!logits_normalize(x, n, &norm))
        return; /* no token: no number later either */
    logits_exp(x, n, norm.max, share);
    for (int i = 0; i < n; i++)
        sum += (double)share[i];
    double next = splitmix_share(splitmix_mix((uint64_t)at)) * sum / N_DRAW;
    int drawn = 0;
    for (int i = 0; i < n && drawn < N_DRAW; i++) {
        below += (double)share[i];
        if (next >= below)
            continue;
        t->id[t->n] = i;
        for (; drawn < N_DRAW && next < below; next += sum / N_DRAW, drawn++)
            t->count[t->n]++;
        t->n++;
    }
    pass_hidden(calib_pass(a->c), row, hidden);
    for (int i = 0; i < t->n; i++)
        t->logit[i] = head_logit(a, t->id[i], hidden, hidden + n_embd);
}

/* ---- over the text ---- */

static int n_chunk(const struct answers *a)
{
    return (int)(a->n_position / calib_ctx(a->c));
}

static void each(struct answers *a, void (*run)(const struct pool_op *, int, int), int n)
{
    struct pool_op op = {.run = run, .arg = a, .n_piece = n, .layer = -1, .name = "answers"};
    pool_run(a->pool, &op, 1);
    pool_settle(a->pool);
}

static int draw_chunk(struct answers *a, int chunk, struct lathe_err *err)
{
    int n_ctx = calib_ctx(a->c), most = calib_n_out(a->c);
    a->chunk = chunk;
    TRY(calib_rest(a->c, chunk, 0, NULL, NULL, err));
    for (a->first = 0; a->first < n_ctx; a->first += most) {
        int n = n_ctx - a->first < most ? n_ctx - a->first : most;
        a->logits = pass_logits(calib_pass(a->c), a->first, n, &a->logits_stride);
        each(a, draw_position, n);
    }
    return 0;
}

static void put_noise(void *user, const int32_t *ids)
{
    const struct answers *a = user;
    int64_t stride;
    float *x = pass_rows(calib_pass(a->c), &stride);
    for (int i = 0; i < calib_ctx(a->c); i++)
        noise_add(a->embedding, ids[i], x + i * stride, calib_model(a->c)->config.n_embd);
}

int answers_new(struct calib *c, struct pool *pool, struct answers **out, struct lathe_err *err)
{
    const struct lathe_model *m = calib_model(c);
    struct answers *a;
    void *v;
    *out = NULL;
    if (!m->head)
        return err_set(err, LATHE_E_UNSUPPORTED,
                       "what a type costs is seen in the model's answers, and this %s has no output head",
                       m->architecture);
    TRY(mem_try((size_t)calib_n_token(c), sizeof *a->v, "answers to the calibration text", &v, err));
    a = mem_new(sizeof *a);
    *a = (struct answers){.c = c, .pool = pool, .v = v, .n_position = calib_n_token(c)};
    a->divergence = mem_new((size_t)a->n_position * sizeof *a->divergence);
    size_t n_worker = (size_t)pool_n_worker(pool);
    a->room = mem_new(2 * (size_t)m->config.n_embd * n_worker * sizeof *a->room);
    a->share = mem_new((size_t)m->config.n_vocab * n_worker * sizeof *a->share);
    int rc = 0;
    for (int i = 0; i < n_chunk(a) && !rc; i++)
        rc = draw_chunk(a, i, err);
    free(a->share);
    a->share = NULL;
    if (rc) {
        answers_free(a);
        return rc;
    }
    *out = a;
    return 0;
}

void answers_free(struct answers *a)
{
    if (!a)
        return;
    free(a->v);
    free(a->divergence);
    free(a->room);
    free(a);
}

int answers_divergence(struct answers *a, int layer, const struct noise *embedding, const struct noise *head,
                       double *out, struct lathe_err *err)
{
    double sum = 0;
    a->embedding = embedding;
    a->head = head;
    int rc = 0;
    for (a->chunk = 0; a->chunk < n_chunk(a) && !rc; a->chunk++) {
        rc = calib_rest(a->c, a->chunk, layer, embedding ? put_noise : NULL, a, err);
        if (!rc)
            each(a, compare_position, calib_ctx(a->c));
    }
    a->embedding = a->head = NULL;
    if (rc)
        return rc;
    for (int64_t i = 0; i < a->n_position; i++)
        sum += a->divergence[i];
    *out = sum / (double)a->n_position;
    return isfinite(*out)
               ? 0
               : err_set(err, LATHE_E_NUMERIC, "the model's answers to the calibration text are no numbers");
}
