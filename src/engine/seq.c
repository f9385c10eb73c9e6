/* Sequences: a request's tokens, pages, sampler and text. */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "engine/engine.h"

/* DRY does not match across tokens that hold one of these (the defaults of its author). */
static const uint8_t *dry_breaks(struct lathe_engine *e)
{
    if (e->dry_breaks)
        return e->dry_breaks;
    int n = e->model->config.n_vocab;
    e->dry_breaks = mem_new((size_t)n);
    for (int i = 0; i < n; i++) {
        struct str s = vocab_piece(e->model->vocab, i, true);
        for (size_t k = 0; k < s.n; k++)
            e->dry_breaks[i] |= strchr("\n:\"*", s.p[k]) != NULL && s.p[k];
    }
    return e->dry_breaks;
}

static enum lathe_pooling pooling_of(const struct lathe_engine *e, const struct lathe_request *r)
{
    return r->pooling == LATHE_POOL_MODEL ? e->model->config.pooling : r->pooling;
}

static int check_embed(const struct lathe_engine *e, const struct lathe_request *r, struct lathe_err *err)
{
    const struct model_config *c = &e->model->config;
    if (!r->embed && c->encoder)
        return err_set(err, LATHE_E_USAGE,
                       "%s is an encoder (%s): it gives embeddings%s and generates nothing", e->model->name,
                       e->model->architecture, c->n_class ? " and classes" : "");
    if (!r->embed)
        return 0;
    if ((int)r->pooling < LATHE_POOL_MODEL || r->pooling > LATHE_POOL_CLASSES)
        return err_set(err, LATHE_E_USAGE, "pooling is %d, expected %d..%d", (int)r->pooling,
                       LATHE_POOL_MODEL, LATHE_POOL_CLASSES);
    if (pooling_of(e, r) == LATHE_POOL_CLASSES && !c->n_class)
        return err_set(err, LATHE_E_USAGE, "%s has no classes: it gives embeddings alone", e->model->name);
    if (r->n_dimension < 0 || r->n_dimension > c->n_embd)
        return err_set(err, LATHE_E_USAGE, "n_dimension is %d, expected 0..%d", r->n_dimension, c->n_embd);
    if (pooling_of(e, r) == LATHE_POOL_CLASSES && r->n_dimension)
        return err_set(err, LATHE_E_USAGE, "n_dimension is %d: classes are never cut", r->n_dimension);
    if (r->second_at < 0 || (size_t)r->second_at > r->n_ids)
        return err_set(err, LATHE_E_USAGE, "second_at is %d of %zu ids", r->second_at, r->n_ids);
    return 0;
}

static int check(const struct lathe_engine *e, const struct lathe_request *r, struct lathe_err *err)
{
    int n_vocab = e->model->config.n_vocab, n_ctx = e->plan.n_ctx;
    if (!r->n_ids)
        return err_set(err, LATHE_E_USAGE, "the prompt has no tokens");
    for (size_t i = 0; i < r->n_ids; i++)
        if (r->ids[i] < 0 || r->ids[i] >= n_vocab)
            return err_set(err, LATHE_E_USAGE, "token %d at %zu is not in the vocabulary of %d", r->ids[i], i,
                           n_vocab);
    if (r->n_ids > (size_t)n_ctx)
        return err_set(err, LATHE_E_CONTEXT,
                       "the prompt has %zu tokens, the context %d; raise it with -c or shorten the prompt",
                       r->n_ids, n_ctx);
    if (r->n_predict > 0 && r->n_predict > n_ctx - (int)r->n_ids)
        return err_set(err, LATHE_E_CONTEXT,
                       "%zu prompt tokens and %d new ones are more than the context of %d; raise it with -c",
                       r->n_ids, r->n_predict, n_ctx);
    if (r->n_predict < -1)
        return err_set(err, LATHE_E_USAGE, "n_predict is %d, expected -1 or more", r->n_predict);
    if (r->n_logprob < -1 || r->n_logprob > 20)
        return err_set(err, LATHE_E_USAGE, "logprobs is %d, expected 0..20", r->n_logprob);
    TRY(check_embed(e, r, err));
    if (r->priority < -100 || r->priority > 100)
        return err_set(err, LATHE_E_USAGE, "priority is %d, expected -100..100", r->priority);
    if (!(r->timeout_ms >= 0) || !(r->ttft_deadline_ms >= 0))
        return err_set(err, LATHE_E_USAGE, "a deadline is in %g ms, expected 0 or more",
                       r->timeout_ms >= 0 ? r->ttft_deadline_ms : r->timeout_ms);
    if (r->prompt_logprobs && r->n_logprob < 0)
        return err_set(err, LATHE_E_USAGE, "prompt_logprobs needs n_logprob of 0..20");
    return 0;
}

/* Whether the engine takes more at all, and can be in time by its measured rates. */
static int check_load(const struct lathe_engine *e, const struct lathe_request *r, struct lathe_err *err)
{
    const struct lathe_engine_plan *p = &e->plan;
    const struct queue *q = &e->queue;
    int64_t n_token = q->n_token + (int64_t)r->n_ids;
    if (p->n_queue && q->n >= p->n_queue)
        return err_set(err, LATHE_E_BUSY, "%d requests wait, at most %d may", q->n, p->n_queue);
    if (p->n_queue_token && q->n && n_token > p->n_queue_token)
        return err_set(err, LATHE_E_BUSY, "%lld prompt tokens would wait, at most %lld may",
                       (long long)n_token, (long long)p->n_queue_token);
    double wait_ms = e->budget.prefill_rate > 0 ? (double)n_token / e->budget.prefill_rate * 1e3 : 0;
    if (r->ttft_deadline_ms > 0 && q->n && wait_ms > r->ttft_deadline_ms)
        return err_set(err, LATHE_E_DEADLINE, "its first token would come after %.0f ms, it has %.0f",
                       wait_ms, r->ttft_deadline_ms);
    return 0;
}

static uint64_t deadline(uint64_t from_ns, double ms)
{
    return ms > 0 && ms < 1e12 ? from_ns + (uint64_t)(ms * 1e6) : 0;
}

/* The position from which on rows are wanted: logits, or what an embedding is made of. */
static int first_scored(const struct lathe_request *r, enum lathe_pooling pooling)
{
    int last = (int)r->n_ids - 1;
    if (r->embed)
        return pooling == LATHE_POOL_LAST ? last : 0;
    if (r->prompt_logprobs)
        return 0;
    return r->on_logits && r->logits_from < last ? r->logits_from < 0 ? 0 : r->logits_from : last;
}

static void make_parts(struct lathe_engine *e, const struct lathe_request *r, struct seq *s)
{
    s->tokens = mem_new((size_t)(s->n_limit + 1) * sizeof *s->tokens);
    memcpy(s->tokens, r->ids, r->n_ids * sizeof *r->ids);
    s->pages = mem_new((size_t)s->n_page_max * sizeof *s->pages);
    if (r->prompt_logprobs && r->n_logprob > 0)
        s->prompt_top = mem_new((size_t)e->n_row_max * (size_t)r->n_logprob * sizeof *s->prompt_top);
    s->pooling = pooling_of(e, r);
    s->n_embedding = s->pooling == LATHE_POOL_CLASSES ? e->model->config.n_class : e->model->config.n_embd;
    if (r->embed)
        s->embedding = mem_new((size_t)s->n_embedding * sizeof *s->embedding);
    s->request.ids = NULL;
    s->request.stop = NULL;
    s->n_scored = first_scored(r, s->pooling);
    s->submitted_ns = clock_ns();
    s->deadline_ns = deadline(s->submitted_ns, r->timeout_ms);
    s->first_deadline_ns = deadline(s->submitted_ns, r->ttft_deadline_ms);
}

int seq_new(struct lathe_engine *e, const struct lathe_request *r, struct seq **out, struct lathe_err *err)
{
    *out = NULL;
    TRY(check(e, r, err));
    TRY(check_load(e, r, err));
    struct seq *s = mem_new(sizeof *s);
    s->request = *r;
    s->n_prompt = s->n_token = (int)r->n_ids;
    s->n_limit = r->embed ? s->n_prompt : r->n_predict < 0 ? e->plan.n_ctx : s->n_prompt + r->n_predict;
    s->n_page_max = pages_for(s->n_limit);
    int rc = stream_init(&s->stream, r->stop, r->n_stop, err);
    if (!rc)
        rc = sampler_new(&r->sampling, e->model->config.n_vocab, r->candidate,
                         r->sampling.dry_multiplier > 0 ? dry_breaks(e) : NULL, &s->sampler, err);
    if (rc) {
        seq_free(e, s);
        return rc;
    }
    make_parts(e, r, s);
    *out = s;
    return 0;
}

void seq_drop_pages(struct lathe_engine *e, struct seq *s)
{
    while (s->n_page)
        prefix_drop(&e->prefix, s->pages[--s->n_page]);
    s->n_in_tree = 0;
}

void seq_drop_saved(struct lathe_engine *e, struct seq *s)
{
    for (int i = 0; i < pages_for(s->n_saved); i++)
        swap_give(&e->swap, s->saved[i]);
    s->n_saved = 0;
}

void seq_free(struct lathe_engine *e, struct seq *s)
{
    if (!s)
        return;
    seq_drop_pages(e, s);
    seq_drop_saved(e, s);
    sampler_free(s->sampler);
    stream_free(&s->stream);
    free(s->tokens);
    free(s->pages);
    free(s->saved);
    free(s->prompt_top);
    free(s->embedding);
    free(s);
}
