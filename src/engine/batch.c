/* One pass: which rows go into it. */
#include <string.h>
#include "engine/engine.h"

/* Whether all that is wanted of an embedding is its first row. */
static bool reads_first(const struct seq *s)
{
    return s->pooling == LATHE_POOL_CLS || s->pooling == LATHE_POOL_CLASSES;
}

/* How many of the sequence's next n positions, the last ones, are scored or sampled. */
static int n_out_of(const struct seq *s, int n)
{
    if (s->embedding && reads_first(s))
        return s->n_past == 0;
    int end = s->n_past + n, n_scored = end - s->n_scored;
    return n_scored < 0 ? 0 : n_scored < n ? n_scored : n;
}

static void batch_add(struct lathe_engine *e, struct pass_batch *b, struct seq *s, int n)
{
    int n_out = n_out_of(s, n);
    memcpy(e->row_tokens + b->n_row, s->tokens + s->n_past, (size_t)n * sizeof *s->tokens);
    e->pass_seqs[b->n_seq] = (struct pass_seq){.row0 = b->n_row,
                                               .n_row = n,
                                               .pos0 = s->n_past,
                                               .n_out = n_out,
                                               .pages = s->pages,
                                               .slot = s->slot,
                                               .n_key = e->model->config.encoder ? s->n_token : 0,
                                               .out_first = s->embedding && reads_first(s),
                                               .second_at = s->request.second_at};
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
    if (!shares_next_page(e, s))
        return false;
    for (int i = 0; i < b->n_seq; i++) {
        const struct seq *o = e->batch[i];
        if (o->n_past == s->n_past && o->request.salt == s->request.salt && o->n_in_tree == s->n_in_tree &&
            seq_page_before(o, o->n_in_tree) == seq_page_before(s, s->n_in_tree) &&
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
        if (n > 0 && n < seq_n_todo(s) && e->model->config.encoder)
            continue; /* whole or not at all: the next pass begins with it, or with one whose turn is before it */
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
