/* What becomes of the rows that a pass computed for their logits: tokens, logprobs, embeddings, events. Rows are worked on by
 * the pool, each by itself; events are made after that, in order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "engine/engine.h"

/* A row of logits, and what was found in it. */
struct row {
    struct seq *seq;
    int position, nth; /* nth: of the sequence's rows in this pass */
    float *logits;
    int token; /* -1: the logits hold NaN; not set where no token is chosen */
    float logprob, prompt_logprob;
};

/* It outlives a run: a late worker may still look at the operation. */
struct row_work {
    struct pool_op op;
    struct lathe_engine *e;
    struct sampler_scratch *scratch; /* [n_thread] */
    struct row rows[MAX_OUT];
    float *hidden; /* [n_embd] */
};

int rows_new(struct lathe_engine *e, struct lathe_err *err)
{
    struct row_work *w = e->rows = mem_new(sizeof *w);
    w->e = e;
    w->scratch = mem_new((size_t)e->plan.n_thread * sizeof *w->scratch);
    w->hidden = mem_new((size_t)e->model->config.n_embd * sizeof *w->hidden);
    for (int i = 0; i < e->plan.n_thread; i++)
        TRY(sampler_scratch_init(&w->scratch[i], e->model->config.n_vocab, e->plan.n_ctx, err));
    return 0;
}

void rows_free(struct lathe_engine *e)
{
    struct row_work *w = e->rows;
    if (!w)
        return;
    for (int i = 0; i < e->plan.n_thread; i++)
        sampler_scratch_free(&w->scratch[i]);
    free(w->scratch);
    free(w->hidden);
    free(w);
}

/* ---- in the pool ---- */

static bool chooses(const struct row *r)
{
    return r->position + 1 == r->seq->n_token && r->seq->n_token < r->seq->n_limit;
}

/* The sampler may change the logits, of which the logprob of its choice is wanted. */
static void choose(const struct lathe_engine *e, struct row *r, struct sampler_scratch *c)
{
    struct seq *s = r->seq;
    size_t n_bytes = (size_t)e->model->config.n_vocab * sizeof *r->logits;
    bool reports = s->request.n_logprob >= 0, copies = reports && sampler_changes_logits(s->sampler);
    const float *raw = copies ? memcpy(c->raw, r->logits, n_bytes) : r->logits;
    r->token = sampler_next(s->sampler, c, r->logits, s->tokens, s->n_token);
    if (reports && r->token >= 0)
        r->logprob = sampler_logprob(s->sampler, raw, r->token, s->request.n_logprob, s->top);
}

static void row_piece(const struct pool_op *op, int piece, int worker)
{
    struct row_work *w = (struct row_work *)op->arg;
    struct row *r = &w->rows[piece];
    struct seq *s = r->seq;
    int n_top = s->request.n_logprob;
    if (s->state != SEQ_RUNNING)
        return;
    if (s->request.prompt_logprobs && r->position + 1 < s->n_prompt)
        r->prompt_logprob =
            sampler_logprob(s->sampler, r->logits, s->tokens[r->position + 1], n_top,
                            s->prompt_top ? s->prompt_top + (size_t)r->nth * (size_t)n_top : NULL);
    if (chooses(r))
        choose(w->e, r, &w->scratch[worker]);
}

/* ---- events ---- */

/* A generated token: event, text, end. */
static void accept(struct lathe_engine *e, struct seq *s, int token, float logprob, int n_top)
{
    const vocab *v = e->model->vocab;
    if (!s->first_ns)
        s->first_ns = clock_ns();
    s->tokens[s->n_token++] = token;
    e->stats.n_generated_token++;
    bool eog = !s->request.ignore_eos && vocab_is_eog(v, token);
    struct lathe_event *ev = engine_event(e, s, LATHE_EVENT_TOKEN);
    bool stopped = !eog && stream_put(&s->stream, vocab_piece(v, token, s->request.special));
    if (eog)
        buf_clear(&s->stream.ready);
    ev->token = token;
    ev->logprob = logprob;
    ev->top = s->top;
    ev->n_top = n_top;
    bool ends = eog || stopped || s->n_token == s->n_limit;
    if (ends && !stopped)
        stream_flush(&s->stream); /* what was held goes out with this event */
    event_take_text(s, ev);
    if (ends)
        engine_finish(e, s, eog || stopped ? LATHE_FINISH_STOP : LATHE_FINISH_LENGTH, NULL, true);
}

static void finish_nan(struct lathe_engine *e, struct seq *s, int position)
{
    struct lathe_err cause;
    err_set(&cause, LATHE_E_NUMERIC, "the model computed NaN at position %d: damaged weights?", position);
    engine_finish(e, s, LATHE_FINISH_ERROR, &cause, false);
}

/* Of the prompt token that a row predicts; with the first row also of the first token, which nothing predicts. */
static void report_prompt(struct lathe_engine *e, const struct row *r)
{
    struct seq *s = r->seq;
    int n_top = s->request.n_logprob;
    if (r->position == 0) {
        struct lathe_event *first = engine_event(e, s, LATHE_EVENT_PROMPT);
        first->token = s->tokens[0];
        first->logprob = NAN;
    }
    if (r->position + 1 >= s->n_prompt)
        return;
    struct lathe_event *ev = engine_event(e, s, LATHE_EVENT_PROMPT);
    ev->token = s->tokens[r->position + 1];
    ev->logprob = r->prompt_logprob;
    ev->top = s->prompt_top ? s->prompt_top + (size_t)r->nth * (size_t)n_top : NULL;
    ev->n_top = n_top;
}

/* The caller sees the logits before anything changes them. */
static void show_logits(struct lathe_engine *e, const struct row *r)
{
    const struct lathe_request *q = &r->seq->request;
    int n_vocab = e->model->config.n_vocab;
    if (r->seq->state != SEQ_RUNNING || !q->on_logits || r->position < q->logits_from)
        return;
    q->on_logits(q->user, r->seq->id, r->position, r->logits, n_vocab);
    if (kern_set()->argmax(r->logits, n_vocab) < 0)
        finish_nan(e, r->seq, r->position);
}

static void finish_row(struct lathe_engine *e, const struct row *r)
{
    struct seq *s = r->seq;
    bool is_chosen = chooses(r);
    if (s->state != SEQ_RUNNING)
        return;
    s->n_scored = r->position + 1;
    if (s->request.prompt_logprobs && r->position < s->n_prompt)
        report_prompt(e, r);
    if (is_chosen && r->token < 0)
        finish_nan(e, s, r->position);
    else if (is_chosen)
        accept(e, s, r->token, r->logprob, s->request.n_logprob > 0 ? s->request.n_logprob : 0);
    else if (r->position + 1 == s->n_token)
        engine_finish(e, s, LATHE_FINISH_LENGTH, NULL, false);
}

static double sum_of_squares(const float *v, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sum;
}

/* The embedding is complete: its dimensions, its length, and its end. Cut before it is normalized (Kusupati et al. 2022, Matryoshka
 * representations): what is left has length 1. */
static void finish_embedding(struct lathe_engine *e, struct seq *s)
{
    int n_all = s->n_embedding, n = s->request.n_dimension ? s->request.n_dimension : n_all;
    double sum = sum_of_squares(s->embedding, n), rest = sum_of_squares(s->embedding + n, n_all - n);
    if (!(sum + rest < INFINITY)) {
        finish_nan(e, s, s->n_token - 1);
        return;
    }
    s->n_embedding = n;
    bool keeps = s->request.not_normalized || s->pooling == LATHE_POOL_CLASSES;
    float scale = keeps ? 1 : sum > 0 ? (float)(1 / sqrt(sum)) : 0;
    for (int i = 0; i < s->n_embedding; i++)
        s->embedding[i] *= scale;
    engine_finish(e, s, LATHE_FINISH_LENGTH, NULL, false);
}

/* Adds the hidden state of one position. Rows come in ascending order, so that the sum does not depend on chunks. */
static void add_hidden(struct lathe_engine *e, struct seq *s, int row, int position)
{
    float *room = e->rows->hidden;
    pass_hidden(e->pass, row, room);
    if (s->state != SEQ_RUNNING)
        return;
    for (int i = 0; i < s->n_embedding; i++)
        s->embedding[i] += room[i];
    s->n_scored = position + 1;
    if (s->pooling == LATHE_POOL_MEAN && position + 1 < s->n_token)
        return;
    for (int i = 0; s->pooling == LATHE_POOL_MEAN && i < s->n_embedding; i++)
        s->embedding[i] /= (float)s->n_token;
    finish_embedding(e, s);
}

/* ---- the rows of a batch ---- */

/* Row `nth` of sequence `seq` of a batch. */
struct cursor {
    int seq, nth;
};

static void next_row(const struct pass_batch *b, struct cursor *at)
{
    at->nth++;
    while (at->seq < b->n_seq && at->nth >= b->seqs[at->seq].n_out) {
        at->nth = 0;
        at->seq++;
    }
}

/* Output rows first .. first+n, of which `at` is the first. */
static void use_logits(struct lathe_engine *e, const struct pass_batch *b, int first, int n,
                       struct cursor *at)
{
    int64_t stride;
    struct row_work *w = e->rows;
    float *logits = pass_logits(e->pass, first, n, &stride);
    for (int k = 0; k < n; k++, next_row(b, at)) {
        const struct pass_seq *s = &b->seqs[at->seq];
        w->rows[k] = (struct row){.seq = e->batch[at->seq],
                                  .position = s->pos0 + s->n_row - s->n_out + at->nth,
                                  .nth = at->nth,
                                  .logits = logits + k * stride};
        show_logits(e, &w->rows[k]);
    }
    w->op = (struct pool_op){.run = row_piece, .arg = w, .n_piece = n, .layer = -1, .name = "sample"};
    if (n == 1)
        row_piece(&w->op, 0, 0);
    else
        pool_run(e->pool, &w->op, 1);
    for (int k = 0; k < n; k++)
        finish_row(e, &w->rows[k]);
}

static int position_of(const struct pass_seq *s, int nth)
{
    return s->pos0 + (s->out_first ? 0 : s->n_row - s->n_out) + nth;
}

static void use_hidden(struct lathe_engine *e, const struct pass_batch *b, int first, int n,
                       struct cursor *at)
{
    for (int k = 0; k < n; k++, next_row(b, at))
        add_hidden(e, e->batch[at->seq], first + k, position_of(&b->seqs[at->seq], at->nth));
}

static void use_classes(struct lathe_engine *e, const struct pass_batch *b, int first, int n,
                        struct cursor *at)
{
    int64_t stride;
    const float *logits = pass_classes(e->pass, first, n, &stride);
    for (int k = 0; k < n; k++, next_row(b, at)) {
        struct seq *s = e->batch[at->seq];
        memcpy(s->embedding, logits + k * stride, (size_t)s->n_embedding * sizeof *s->embedding);
        if (s->state == SEQ_RUNNING)
            finish_embedding(e, s);
    }
}

/* What a sequence's output rows are for. */
enum use { USE_LOGITS, USE_HIDDEN, USE_CLASSES, N_USE };

static enum use use_of(const struct seq *s)
{
    return !s->embedding ? USE_LOGITS : s->pooling == LATHE_POOL_CLASSES ? USE_CLASSES : USE_HIDDEN;
}

/* Output rows from `first` on that are used alike. */
static int n_alike(const struct lathe_engine *e, const struct pass_batch *b, int first, struct cursor at)
{
    enum use use = use_of(e->batch[at.seq]);
    int n = 0;
    for (; first + n < b->n_out && n < e->n_out_max && use_of(e->batch[at.seq]) == use; n++)
        next_row(b, &at);
    return n;
}

void batch_use_rows(struct lathe_engine *e, const struct pass_batch *b)
{
    static void (*const uses[N_USE])(struct lathe_engine *, const struct pass_batch *, int, int,
                                     struct cursor *) = {use_logits, use_hidden, use_classes};
    struct cursor at = {0, -1};
    next_row(b, &at);
    for (int first = 0, n; first < b->n_out; first += n) {
        enum use use = use_of(e->batch[at.seq]);
        n = n_alike(e, b, first, at);
        uses[use](e, b, first, n, &at);
    }
}
