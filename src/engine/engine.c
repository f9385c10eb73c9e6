/* The engine: requests, queue, admission, the step.
 *
 * A step makes one pass over the weights: the newest token of every sequence that generates, then chunks of
 * waiting prompts, up to n_chunk rows. A request is admitted when the pages of its whole length are free, so
 * that a running sequence never waits for memory. */
#include "engine/engine.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem_room.h"

void lathe_engine_options_init(struct lathe_engine_options *o)
{
    *o = (struct lathe_engine_options){.n_seq = 1, .n_chunk = 512};
}

void lathe_sampling_init(struct lathe_sampling *s)
{
    *s = (struct lathe_sampling){.top_p = 1,
                                 .typical_p = 1,
                                 .repeat_penalty = 1,
                                 .penalty_last_n = 64,
                                 .dry_base = 1.75f,
                                 .dry_allowed_length = 2,
                                 .dry_penalty_last_n = -1};
}

void lathe_request_init(struct lathe_request *r)
{
    *r = (struct lathe_request){.n_predict = -1, .n_logprob = -1, .logits_from = 1 << 30};
    lathe_sampling_init(&r->sampling);
}

/* ---- life of an engine ---- */

static int start(struct lathe_engine *e, struct lathe_err *err)
{
    TRY(engine_plan(e, mem_resident(), err));
    struct kv_form form = kv_form_of(e->model, e->options.kv_type);
    const char *poison = getenv("LATHE_POISON_KV");
    TRY(pages_init(&e->pages, &form, e->plan.n_page, poison && *poison == '1', err));
    TRY(pool_new(e->plan.n_thread, &e->pool, err));
    engine_place(e);
    struct pass_limits limits = engine_pass_limits(e);
    TRY(pass_new(e->model, e->pool, &limits, e->pages.kv, &e->pass, err));
    pass_set_profile(e->pass, e->options.profile);
    e->slots = mem_new((size_t)e->plan.n_seq * sizeof *e->slots);
    e->row_tokens = mem_new((size_t)limits.n_row * sizeof *e->row_tokens);
    e->pass_seqs = mem_new((size_t)e->plan.n_seq * sizeof *e->pass_seqs);
    e->batch = mem_new((size_t)e->plan.n_seq * sizeof *e->batch);
    e->raw_logits = mem_new((size_t)e->model->config.n_vocab * sizeof *e->raw_logits);
    /* a step gives every sequence a token and an end at most, and ends what was cancelled in the queue */
    e->events = mem_new(((size_t)e->plan.n_seq * 2 + N_CANCEL) * sizeof *e->events);
    return 0;
}

int lathe_engine_new(const lathe_model *m, const struct lathe_engine_options *opts, lathe_engine **out,
                     struct lathe_err *err)
{
    struct lathe_engine *e = mem_new(sizeof *e);
    *out = NULL;
    e->model = m;
    lathe_engine_options_init(&e->options);
    if (opts)
        e->options = *opts;
    e->next_id = 1;
    int rc = start(e, err);
    if (rc) {
        lathe_engine_free(e);
        return rc;
    }
    *out = e;
    return 0;
}

static void free_list(struct lathe_engine *e, struct seq *s)
{
    for (struct seq *next; s; s = next) {
        next = s->next;
        seq_free(e, s);
    }
}

void lathe_engine_free(lathe_engine *e)
{
    if (!e)
        return;
    for (int i = 0; e->slots && i < e->plan.n_seq; i++)
        seq_free(e, e->slots[i]);
    free_list(e, e->queue);
    free_list(e, e->kept);
    free_list(e, e->ended);
    warm_free(e->warm);
    pass_free(e->pass);
    pool_free(e->pool);
    pages_free_all(&e->pages);
    free(e->slots);
    free(e->row_tokens);
    free(e->pass_seqs);
    free(e->batch);
    free(e->events);
    free(e->raw_logits);
    free(e->dry_breaks);
    free(e);
}

void lathe_engine_get_plan(const lathe_engine *e, struct lathe_engine_plan *out)
{
    *out = e->plan;
}

/* ---- requests ---- */

int lathe_engine_submit(lathe_engine *e, const struct lathe_request *r, uint64_t *id, struct lathe_err *err)
{
    struct seq *s;
    TRY(seq_new(e, r, &s, err));
    s->id = e->next_id++;
    if (e->queue_tail)
        e->queue_tail->next = s;
    else
        e->queue = s;
    e->queue_tail = s;
    if (id)
        *id = s->id;
    return 0;
}

bool lathe_engine_cancel(lathe_engine *e, uint64_t id)
{
    for (int i = 0; i < N_CANCEL; i++) {
        uint64_t empty = 0;
        if (atomic_compare_exchange_strong(&e->cancels[i], &empty, id) || empty == id)
            return true;
    }
    return false;
}

/* Takes the kept sequence `id` out of its list. */
static struct seq *take_kept(struct lathe_engine *e, uint64_t id)
{
    for (struct seq **at = &e->kept; *at; at = &(*at)->next)
        if ((*at)->id == id) {
            struct seq *s = *at;
            *at = s->next;
            s->next = NULL;
            return s;
        }
    return NULL;
}

void lathe_engine_release(lathe_engine *e, uint64_t id)
{
    struct seq *s = take_kept(e, id);
    if (!s)
        return;
    seq_drop_pages(e, s);
    s->next = e->ended; /* the text of its last event stays valid until the next step */
    e->ended = s;
}

/* ---- admission ---- */

/* Takes over the pages of a kept sequence as far as its tokens agree; at least one token is left to compute.
 */
static void adopt(struct lathe_engine *e, struct seq *s)
{
    struct seq *old = take_kept(e, s->request.reuse);
    if (!old)
        return;
    int n = 0, most = s->n_prompt - 1 < old->n_past ? s->n_prompt - 1 : old->n_past;
    while (n < most && old->tokens[n] == s->tokens[n])
        n++;
    int n_page = (n + SPAN - 1) / SPAN;
    for (int i = 0; i < n_page; i++)
        s->pages[s->n_page++] = old->pages[i];
    while (old->n_page > n_page)
        pages_give(&e->pages, old->pages[--old->n_page]);
    old->n_page = 0;
    s->n_past = s->n_cached = n;
    seq_free(e, old);
}

static void admit(struct lathe_engine *e)
{
    for (int i = 0; i < e->plan.n_seq && e->queue; i++) {
        if (e->slots[i])
            continue;
        struct seq *s = e->queue;
        if (s->request.reuse && !s->n_page)
            adopt(e, s);
        if (!seq_reserve(e, s, s->n_limit))
            return;
        e->queue = s->next;
        if (!e->queue)
            e->queue_tail = NULL;
        s->next = NULL;
        s->started_ns = clock_ns();
        s->state = SEQ_RUNNING;
        e->slots[i] = s;
    }
}

static void drain_cancels(struct lathe_engine *e)
{
    for (int c = 0; c < N_CANCEL; c++) {
        uint64_t id = atomic_exchange(&e->cancels[c], 0);
        if (!id)
            continue;
        for (int i = 0; i < e->plan.n_seq; i++)
            if (e->slots[i] && e->slots[i]->id == id && e->slots[i]->state == SEQ_RUNNING)
                engine_finish(e, e->slots[i], LATHE_FINISH_CANCELLED, NULL, false);
        struct seq *before = NULL;
        for (struct seq *s = e->queue; s; before = s, s = s->next) {
            if (s->id != id)
                continue;
            if (before)
                before->next = s->next;
            else
                e->queue = s->next;
            if (e->queue_tail == s)
                e->queue_tail = before;
            engine_finish(e, s, LATHE_FINISH_CANCELLED, NULL, false);
            s->next = e->ended;
            e->ended = s;
            break;
        }
    }
}

/* Frees what ended before: its events have been read. */
static void collect_ended(struct lathe_engine *e)
{
    free_list(e, e->ended);
    e->ended = NULL;
    e->n_event = e->next_event = 0;
}

static void clear_slots(struct lathe_engine *e)
{
    for (int i = 0; i < e->plan.n_seq; i++) {
        struct seq *s = e->slots[i];
        if (!s || s->state != SEQ_DONE)
            continue;
        e->slots[i] = NULL;
        struct seq **list = s->request.keep ? &e->kept : &e->ended;
        if (!s->request.keep)
            seq_drop_pages(e, s);
        s->next = *list;
        *list = s;
    }
}

static int n_unfinished(const struct lathe_engine *e)
{
    int n = 0;
    for (int i = 0; i < e->plan.n_seq; i++)
        n += e->slots[i] != NULL;
    for (struct seq *s = e->queue; s; s = s->next)
        n++;
    return n;
}

int lathe_engine_step(lathe_engine *e, struct lathe_err *err)
{
    collect_ended(e);
    drain_cancels(e);
    clear_slots(e);
    admit(e);
    struct pass_batch b = batch_make(e);
    if (b.n_row) {
        pass_run(e->pass, &b);
        e->stats.n_pass++;
        e->stats.n_row += (uint64_t)b.n_row;
        e->stats.most_in_pass = b.n_seq > e->stats.most_in_pass ? b.n_seq : e->stats.most_in_pass;
        for (int i = 0; i < b.n_seq; i++)
            e->batch[i]->n_past += b.seqs[i].n_row;
        if (model_damaged(e->model))
            return err_set(err, LATHE_E_FILE, "%s or its laid-out copy was cut while it was in use",
                           model_file_path(e->model->file));
        batch_use_logits(e, &b);
        clear_slots(e);
    } else if (e->queue) {
        return err_set(err, LATHE_E_LIMIT,
                       "%d KV pages are kept by finished requests, the next one needs %d: release some",
                       e->plan.n_page - e->pages.n_free, e->queue->n_page_max);
    }
    return n_unfinished(e);
}

bool lathe_engine_poll(lathe_engine *e, struct lathe_event *out)
{
    if (e->next_event == e->n_event)
        return false;
    *out = e->events[e->next_event++];
    return true;
}

/* ---- profile ---- */

bool lathe_engine_profile(const lathe_engine *e, int i, struct lathe_op_stat *out)
{
    const struct pass_profile *p = pass_get_profile(e->pass);
    if (i < 0 || i >= p->n)
        return false;
    *out = p->stats[i];
    return true;
}

void lathe_engine_profile_reset(lathe_engine *e)
{
    pass_reset_profile(e->pass);
}

bool lathe_engine_trace(const lathe_engine *e, int i, struct lathe_trace_event *out)
{
    return pass_trace(e->pass, i, out);
}
