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
    return 0;
}

int seq_new(struct lathe_engine *e, const struct lathe_request *r, struct seq **out, struct lathe_err *err)
{
    *out = NULL;
    TRY(check(e, r, err));
    struct seq *s = mem_new(sizeof *s);
    s->request = *r;
    s->n_prompt = s->n_token = (int)r->n_ids;
    s->n_limit = r->n_predict < 0 ? e->plan.n_ctx : s->n_prompt + r->n_predict;
    s->n_page_max = (s->n_limit + SPAN - 1) / SPAN;
    int rc = 0;
    if (s->n_page_max > e->pages.n_page)
        rc = err_set(err, LATHE_E_CONTEXT, "%d tokens need %d KV pages, the cache has %d", s->n_limit,
                     s->n_page_max, e->pages.n_page);
    if (!rc)
        rc = stream_init(&s->stream, r->stop, r->n_stop, err);
    if (!rc)
        rc = sampler_new(&r->sampling, e->model->config.n_vocab, e->plan.n_ctx, r->candidate,
                         r->sampling.dry_multiplier > 0 ? dry_breaks(e) : NULL, &s->sampler, err);
    if (rc) {
        seq_free(e, s);
        return rc;
    }
    s->tokens = mem_new((size_t)(s->n_limit + 1) * sizeof *s->tokens);
    memcpy(s->tokens, r->ids, r->n_ids * sizeof *r->ids);
    s->pages = mem_new((size_t)e->pages.n_page * sizeof *s->pages);
    s->request.ids = NULL;
    s->request.stop = NULL;
    s->submitted_ns = clock_ns();
    *out = s;
    return 0;
}

void seq_drop_pages(struct lathe_engine *e, struct seq *s)
{
    while (s->n_page)
        pages_give(&e->pages, s->pages[--s->n_page]);
}

void seq_free(struct lathe_engine *e, struct seq *s)
{
    if (!s)
        return;
    seq_drop_pages(e, s);
    sampler_free(s->sampler);
    stream_free(&s->stream);
    free(s->tokens);
    free(s->pages);
    free(s);
}

bool seq_reserve(struct lathe_engine *e, struct seq *s, int n_token)
{
    int need = (n_token + SPAN - 1) / SPAN;
    if (need - s->n_page > e->pages.n_free)
        return false;
    while (s->n_page < need)
        s->pages[s->n_page++] = pages_take(&e->pages);
    return true;
}
