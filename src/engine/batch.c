/* One pass: which rows go into it, and what becomes of their logits. */
#include <string.h>
#include "base/clock.h"
#include "engine/engine.h"

/* How many of the sequence's next n positions, the last ones, are scored or sampled. */
static int n_out_of(const struct seq *s, int n)
{
    int end = s->n_past + n, n_scored = s->request.on_logits ? end - s->request.logits_from : 0;
    if (n_scored > 0)
        return n_scored < n ? n_scored : n;
    return end == s->n_token;
}

static void batch_add(struct lathe_engine *e, struct pass_batch *b, struct seq *s, int n)
{
    int n_out = n_out_of(s, n);
    memcpy(e->row_tokens + b->n_row, s->tokens + s->n_past, (size_t)n * sizeof *s->tokens);
    e->pass_seqs[b->n_seq] = (struct pass_seq){b->n_row, n, s->n_past, n_out, s->pages};
    e->batch[b->n_seq++] = s;
    b->n_row += n;
    b->n_out += n_out;
}

struct pass_batch batch_make(struct lathe_engine *e)
{
    struct pass_batch b = {.tokens = e->row_tokens, .seqs = e->pass_seqs};
    for (int prompts = 0; prompts < 2; prompts++)
        for (int i = 0; i < e->plan.n_seq; i++) {
            struct seq *s = e->slots[i];
            if (!s || s->state != SEQ_RUNNING || (s->n_past < s->n_token - 1) != prompts)
                continue;
            int n = s->n_token - s->n_past, room = e->n_row_max - b.n_row;
            n = n < room ? n : room;
            if (n > 0)
                batch_add(e, &b, s, n);
        }
    return b;
}

/* A generated token: event, text, end. */
static void accept(struct lathe_engine *e, struct seq *s, int token, float logprob, int n_top)
{
    const vocab *v = e->model->vocab;
    if (!s->first_ns)
        s->first_ns = clock_ns();
    s->tokens[s->n_token++] = token;
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

/* One row of logits: to the caller, and to the sampler if it is the sequence's newest. */
static void take_logits(struct lathe_engine *e, struct seq *s, int position, float *logits)
{
    int n_vocab = e->model->config.n_vocab;
    if (s->state != SEQ_RUNNING)
        return;
    if (s->request.on_logits && position >= s->request.logits_from) {
        s->request.on_logits(s->request.user, s->id, position, logits, n_vocab);
        if (kern_set()->argmax(logits, n_vocab) < 0) {
            finish_nan(e, s, position);
            return;
        }
    }
    if (position + 1 < s->n_token)
        return;
    if (s->n_token == s->n_limit) {
        engine_finish(e, s, LATHE_FINISH_LENGTH, NULL, false);
        return;
    }
    int n_top = s->request.n_logprob;
    if (n_top >= 0)
        memcpy(e->raw_logits, logits, (size_t)n_vocab * sizeof *logits);
    int token = sampler_next(s->sampler, logits, s->tokens, s->n_token);
    if (token < 0) {
        finish_nan(e, s, position);
        return;
    }
    float logprob = n_top >= 0 ? sampler_logprob(s->sampler, e->raw_logits, token, n_top, s->top) : 0;
    accept(e, s, token, logprob, n_top > 0 ? n_top : 0);
}

void batch_use_logits(struct lathe_engine *e, const struct pass_batch *b)
{
    int i = 0, r = 0; /* the next row: r-th output row of sequence i */
    for (int first = 0, n; first < b->n_out; first += n) {
        int64_t stride;
        n = b->n_out - first < e->n_out_max ? b->n_out - first : e->n_out_max;
        float *logits = pass_logits(e->pass, first, n, &stride);
        for (int k = 0; k < n; k++, r++) {
            for (; r == b->seqs[i].n_out; i++)
                r = 0;
            const struct pass_seq *s = &b->seqs[i];
            take_logits(e, e->batch[i], s->pos0 + s->n_row - s->n_out + r, logits + k * stride);
        }
    }
}
