/* A text through a candidate and a reference at once. */
#include "measure/eval_run.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/pool.h"
#include "measure/logits.h"

enum { ROW_LEAST = 16, ROW_MOST = 512, ROW_STEP = 12 /* tokens of a tile */ };
#define SIDE_BYTES ((size_t)64 << 20)

int eval_row_count(int n_vocab)
{
    size_t n = SIDE_BYTES / sizeof(float) / (size_t)n_vocab;
    n -= n % ROW_STEP;
    return n < ROW_LEAST ? ROW_LEAST : n > ROW_MOST ? ROW_MOST : (int)n;
}

/* An engine and the rows of its newest pass. */
struct side {
    lathe_engine *engine;
    float *logits;       /* [n_row][n_vocab] */
    int n_row, first, n; /* positions first .. first + n - 1 are there */
    bool done;
};

enum { FINITE, WRONG_CANDIDATE, WRONG_REFERENCE };

/* A block of positions, compared in the pool. */
struct work {
    const struct eval_run *run;
    struct side candidate, reference;
    struct compare *out;
    int32_t *ids; /* of the chunk, as the models read it; its last is not read */
    int chunk;
    struct pool *pool;
    struct pool_op op;
    char *wrong; /* [n_row] of the enum */
};

static void on_logits(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    struct side *s = user;
    if (s->n == s->n_row)
        return;
    if (s->n == 0)
        s->first = position;
    memcpy(s->logits + (size_t)s->n++ * (size_t)n_vocab, logits, sizeof *logits * (size_t)n_vocab);
}

static int submit(struct side *s, const struct work *w, struct lathe_err *err)
{
    struct lathe_request r;
    uint64_t id;
    lathe_request_init(&r);
    r.ids = w->ids;
    r.n_ids = (size_t)w->run->chunk_tokens - 1;
    r.n_predict = 0;
    r.on_logits = on_logits;
    r.user = s;
    r.logits_from = 0;
    s->done = false;
    s->n = 0;
    return lathe_engine_submit(s->engine, &r, &id, err);
}

static int take_events(struct side *s, const struct work *w, const char *whose, struct lathe_err *err)
{
    struct lathe_event e;
    while (lathe_engine_poll(s->engine, &e)) {
        if (e.kind != LATHE_EVENT_DONE)
            continue;
        s->done = true;
        if (e.finish == LATHE_FINISH_ERROR)
            return err_set(err, e.err.code, "%s, chunk %d: %.300s", whose, w->chunk, e.err.text);
    }
    return 0;
}

/* Steps until the engine has made rows. */
static int next_rows(struct side *s, const struct work *w, const char *whose, struct lathe_err *err)
{
    s->n = 0;
    while (!s->n && !s->done) {
        int n_left = lathe_engine_step(s->engine, err);
        if (n_left < 0)
            return n_left;
        TRY(take_events(s, w, whose, err));
        if (n_left == 0 && !s->done)
            break;
    }
    return s->n ? 0 : err_set(err, LATHE_E_FAILED, "%s, chunk %d: the engine stopped early", whose, w->chunk);
}

static int finish(struct side *s, const struct work *w, const char *whose, struct lathe_err *err)
{
    while (!s->done) {
        int n_left = lathe_engine_step(s->engine, err);
        if (n_left < 0)
            return n_left;
        TRY(take_events(s, w, whose, err));
        if (n_left == 0)
            break;
    }
    return 0;
}

static void compare_piece(const struct pool_op *op, int piece, int worker)
{
    struct work *w = (struct work *)op->arg;
    int n_vocab = w->run->n_vocab, position = w->candidate.first + piece;
    int32_t next = w->run->ids[(size_t)w->chunk * (size_t)w->run->chunk_tokens + (size_t)position + 1];
    size_t at = (size_t)piece * (size_t)n_vocab;
    struct compare_position *out =
        &w->out->v[(size_t)w->chunk * (size_t)w->out->n_position + (size_t)position];
    const float *y = w->candidate.logits + at;
    const float *x = w->run->reference ? w->reference.logits + at : NULL;
    struct logits_norm p, q;
    double kl;
    bool finite = x ? logits_divergence(x, y, n_vocab, &p, &q, &kl) : logits_normalize(y, n_vocab, &q);
    w->wrong[piece] = finite ? FINITE : logits_normalize(y, n_vocab, &q) ? WRONG_REFERENCE : WRONG_CANDIDATE;
    if (!finite)
        return;
    out->nll = (float)-logits_logp(y, &q, next);
    if (x) {
        out->ref_nll = (float)-logits_logp(x, &p, next);
        out->kl = (float)kl;
        out->is_same_top = p.top == q.top;
    }
}

static int compare_rows(struct work *w, struct lathe_err *err)
{
    int n = w->candidate.n;
    if (w->run->reference && (w->reference.n != n || w->reference.first != w->candidate.first))
        return err_set(err, LATHE_E_FAILED, "chunk %d: the passes of candidate and reference differ",
                       w->chunk);
    w->op = (struct pool_op){.run = compare_piece, .arg = w, .n_piece = n, .layer = -1, .name = "compare"};
    pool_run(w->pool, &w->op, 1);
    for (int i = 0; i < n; i++)
        if (w->wrong[i])
            return err_set(
                err, LATHE_E_NUMERIC,
                "the %s computed a logit that is not finite at position %d of chunk %d: damaged weights?",
                w->wrong[i] == WRONG_CANDIDATE ? "candidate" : "reference", w->candidate.first + i, w->chunk);
    return 0;
}

static int run_chunk(struct work *w, struct lathe_err *err)
{
    const struct eval_run *r = w->run;
    memcpy(w->ids, r->ids + (size_t)w->chunk * (size_t)r->chunk_tokens,
           sizeof *w->ids * (size_t)r->chunk_tokens);
    if (r->bos >= 0)
        w->ids[0] = r->bos;
    if (r->reference)
        TRY(submit(&w->reference, w, err));
    TRY(submit(&w->candidate, w, err));
    for (int n = 0; n < r->chunk_tokens - 1; n += w->candidate.n) {
        if (r->reference)
            TRY(next_rows(&w->reference, w, "reference", err));
        TRY(next_rows(&w->candidate, w, "candidate", err));
        TRY(compare_rows(w, err));
    }
    if (r->reference)
        TRY(finish(&w->reference, w, "reference", err));
    return finish(&w->candidate, w, "candidate", err);
}

static int side_init(struct side *s, lathe_engine *e, const struct eval_run *r, struct lathe_err *err)
{
    void *p;
    s->engine = e;
    s->n_row = r->n_row;
    TRY(mem_try((size_t)r->n_row, sizeof *s->logits * (size_t)r->n_vocab, "rows of logits", &p, err));
    s->logits = p;
    return 0;
}

int eval_run(const struct eval_run *r, struct compare *out, struct lathe_err *err)
{
    struct work w = {.run = r, .out = out};
    int rc;
    w.ids = mem_new(sizeof *w.ids * (size_t)r->chunk_tokens);
    w.wrong = mem_new((size_t)r->n_row);
    TRY_GOTO(side_init(&w.candidate, r->candidate, r, err));
    if (r->reference)
        TRY_GOTO(side_init(&w.reference, r->reference, r, err));
    TRY_GOTO(pool_new(r->n_thread, &w.pool, err));
    out->has_reference = r->reference != NULL;
    for (w.chunk = 0; w.chunk < r->n_chunk; w.chunk++) {
        TRY_GOTO(run_chunk(&w, err));
        if (r->progress)
            r->progress(r->user, (double)(w.chunk + 1) / r->n_chunk);
    }
done:
    pool_free(w.pool);
    free(w.candidate.logits);
    free(w.reference.logits);
    free(w.ids);
    free(w.wrong);
    return rc;
}
