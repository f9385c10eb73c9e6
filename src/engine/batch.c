/* One pass: which rows go into it, and what becomes of their logits. */
#include <math.h>
#include <string.h>
#include "base/clock.h"
#include "engine/engine.h"

/* How many of the sequence's next n positions, the last ones, are scored or sampled. */
static int n_out_of(const struct seq *s, int n)
{
    int end = s->n_past + n, n_scored = end - s->n_scored;
    return n_scored < 0 ? 0 : n_scored < n ? n_scored : n;
}

static void batch_add(struct lathe_engine *e, struct pass_batch *b, struct seq *s, int n)
{
    int n_out = n_out_of(s, n);
    memcpy(e->row_tokens + b->n_row, s->tokens + s->n_past, (size_t)n * sizeof *s->tokens);
    e->pass_seqs[b->n_seq] = (struct pass_seq){b->n_row, n, s->n_past, n_out, s->pages};
    e->batch[b->n_seq++] = s;
    b->n_row += n;
    b->n_out += n_out;
    if (s->n_past + n > s->n_served) { /* what is computed again after a preemption is not the tenant's */
        s->tenant->n_served += s->n_past + n - s->n_served;
        s->n_served = s->n_past + n;
    }
}

/* Whether an earlier sequence of the batch computes the very page that s would begin with. */
static bool is_computed_by_another(const struct lathe_engine *e, const struct pass_batch *b,
                                   const struct seq *s)
{
    if (e->prefix.off || s->n_past % SPAN || s->n_in_tree < s->n_past / SPAN ||
        s->n_past + SPAN > s->n_scored || s->n_past + SPAN >= s->n_token)
        return false;
    for (int i = 0; i < b->n_seq; i++) {
        const struct seq *o = e->batch[i];
        if (o->n_past == s->n_past && o->request.salt == s->request.salt && o->n_in_tree == s->n_in_tree &&
            (!s->n_in_tree || o->pages[s->n_in_tree - 1] == s->pages[s->n_in_tree - 1]) &&
            o->n_token >= s->n_past + SPAN &&
            memcmp(o->tokens + s->n_past, s->tokens + s->n_past, SPAN * sizeof *s->tokens) == 0)
            return true;
    }
    return false;
}

/* Running sequences that have more than their newest token to compute, whose turn it is first; returns how many. */
static int order_prompts(struct lathe_engine *e)
{
    int n = 0;
    for (int i = 0; i < e->plan.n_seq; i++) {
        struct seq *s = e->slots[i];
        if (!s || s->state != SEQ_RUNNING || seq_n_todo(s) < 2)
            continue;
        catch_up(e, s);
        int at = n++;
        for (; at > 0 && queue_before(s, e->order[at - 1]); at--)
            e->order[at] = e->order[at - 1];
        e->order[at] = s;
    }
    return n;
}

/* Prompt tokens for which the pass has room beside its decoding rows, in units of work; see budget.h. */
static double spare_work(const struct lathe_engine *e, int n_decode)
{
    if (n_decode == 0 || e->options.target_itl_ms <= 0)
        return 1e30;
    return budget_spare(&e->budget, n_decode, (double)e->options.target_itl_ms);
}

static void add_prompts(struct lathe_engine *e, struct pass_batch *b)
{
    int n_prompt = order_prompts(e);
    double work = spare_work(e, b->n_row);
    e->stats.n_chunk_now = 0;
    for (int i = 0; i < n_prompt; i++) {
        struct seq *s = e->order[i];
        int n = seq_n_todo(s), room = e->n_row_max - b->n_row,
            fits = budget_tokens(&e->budget, s->n_past, work);
        n = n < room ? n : room;
        n = n < fits ? n : fits;
        if (n <= 0)
            return;
        if (is_computed_by_another(e, b, s))
            continue;
        work -= budget_work(&e->budget, s->n_past, n);
        e->stats.n_chunk_now += n;
        batch_add(e, b, s, n);
    }
}

struct pass_batch batch_make(struct lathe_engine *e)
{
    struct pass_batch b = {.tokens = e->row_tokens, .seqs = e->pass_seqs};
    for (int i = 0; i < e->plan.n_seq; i++) {
        struct seq *s = e->slots[i];
        if (s && s->state == SEQ_RUNNING && seq_n_todo(s) == 1)
            batch_add(e, &b, s, 1);
    }
    add_prompts(e, &b);
    return b;
}

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

/* Of the prompt token that a row of logits predicts; with the first row also of the first token, which nothing predicts. */
static void report_prompt(struct lathe_engine *e, struct seq *s, int position, const float *logits, int row)
{
    int n_top = s->request.n_logprob;
    struct lathe_logprob *top = s->prompt_top ? s->prompt_top + (size_t)row * (size_t)n_top : NULL;
    if (position == 0) {
        struct lathe_event *first = engine_event(e, s, LATHE_EVENT_PROMPT);
        first->token = s->tokens[0];
        first->logprob = NAN;
    }
    if (position + 1 >= s->n_prompt)
        return;
    struct lathe_event *ev = engine_event(e, s, LATHE_EVENT_PROMPT);
    ev->token = s->tokens[position + 1];
    ev->logprob = sampler_logprob(s->sampler, logits, ev->token, n_top, top);
    ev->top = top;
    ev->n_top = n_top;
}

/* One row of logits, the row-th of its sequence in this pass: to the caller, and to the sampler if it is the sequence's
 * newest. */
static void take_logits(struct lathe_engine *e, struct seq *s, int position, float *logits, int row)
{
    int n_vocab = e->model->config.n_vocab;
    if (s->state != SEQ_RUNNING)
        return;
    s->n_scored = position + 1;
    if (s->request.prompt_logprobs && position < s->n_prompt)
        report_prompt(e, s, position, logits, row);
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

/* The embedding of a prompt: the last token's hidden state, of length 1. It needs no output head. */
static void take_hidden(struct lathe_engine *e, struct seq *s, int row)
{
    int n = e->model->config.n_embd;
    double sum = 0;
    pass_hidden(e->pass, row, s->embedding);
    for (int i = 0; i < n; i++)
        sum += (double)s->embedding[i] * (double)s->embedding[i];
    if (!(sum < INFINITY)) {
        finish_nan(e, s, s->n_token - 1);
        return;
    }
    float scale = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
    for (int i = 0; i < n; i++)
        s->embedding[i] *= scale;
    engine_finish(e, s, LATHE_FINISH_LENGTH, NULL, false);
}

/* The r-th of the batch's output rows from `first` on, n of them, is row `row` of sequence `seq`. */
struct cursor {
    int seq, row;
};

static void next_row(const struct pass_batch *b, struct cursor *at)
{
    at->row++;
    while (at->seq < b->n_seq && at->row >= b->seqs[at->seq].n_out) {
        at->row = 0;
        at->seq++;
    }
}

static void use_rows(struct lathe_engine *e, const struct pass_batch *b, int first, int n, struct cursor *at)
{
    int64_t stride = 0;
    float *logits = e->batch[at->seq]->embedding ? NULL : pass_logits(e->pass, first, n, &stride);
    for (int k = 0; k < n; k++, next_row(b, at)) {
        const struct pass_seq *s = &b->seqs[at->seq];
        if (logits)
            take_logits(e, e->batch[at->seq], s->pos0 + s->n_row - s->n_out + at->row, logits + k * stride,
                        at->row);
        else
            take_hidden(e, e->batch[at->seq], first + k);
    }
}

/* Output rows from `first` on that are used alike: all for logits, or all for embeddings. */
static int n_alike(const struct lathe_engine *e, const struct pass_batch *b, int first, struct cursor at)
{
    bool embeds = e->batch[at.seq]->embedding != NULL;
    int n = 0;
    for (; first + n < b->n_out && n < e->n_out_max && (e->batch[at.seq]->embedding != NULL) == embeds; n++)
        next_row(b, &at);
    return n;
}

void batch_use_logits(struct lathe_engine *e, const struct pass_batch *b)
{
    struct cursor at = {0, -1};
    next_row(b, &at);
    for (int first = 0, n; first < b->n_out; first += n) {
        n = n_alike(e, b, first, at);
        use_rows(e, b, first, n, &at);
    }
}
