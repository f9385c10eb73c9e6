/* The engine: its life, requests, the step.
 *
 * A step makes one pass over the weights: the newest token of every sequence that generates, then chunks of prompts
 * up to n_chunk rows, as many as keep the gap between tokens under its target. Who runs is decided in admit.c. */
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

/* What a token of a prompt costs more for each position it is further back, in units of a token at position 0. Attention
 * runs in f32, at about a quarter of the rate of int8. */
static double position_work(const struct lathe_model *m)
{
    const struct model_config *c = &m->config;
    struct lathe_model_info info;
    lathe_model_get_info(m, &info);
    return 4 * 4.0 * c->head_dim * c->n_head * c->n_layer / info.ops_per_token;
}

static int start(struct lathe_engine *e, struct lathe_err *err)
{
    TRY(engine_plan(e, mem_resident(), err));
    struct kv_form form = kv_form_of(e->model, kv_types_of(&e->options));
    const char *poison = getenv("LATHE_POISON_KV");
    TRY(pages_init(&e->pages, &form, e->plan.n_page, e->plan.n_seq, poison && *poison == '1', err));
    TRY(swap_init(&e->swap, form.page_bytes, e->plan.swap_bytes, err));
    e->budget.position_work = position_work(e->model);
    TRY(prefix_init(&e->prefix, &e->pages, e->budget.position_work, e->options.no_prefix_cache, err));
    TRY(pool_new(e->plan.n_thread, &e->pool, err));
    pool_set_no_spin(e->pool, e->options.no_spin || e->model->stream); /* who reads the disk needs a core */
    engine_place(e);
    struct pass_limits limits = engine_pass_limits(e);
    TRY(pass_new(e->model, e->pool, &limits, e->pages.kv, &e->pass, err));
    pass_set_profile(e->pass, e->options.profile);
    e->slots = mem_new((size_t)e->plan.n_seq * sizeof *e->slots);
    e->row_tokens = mem_new((size_t)limits.n_row * sizeof *e->row_tokens);
    e->pass_seqs = mem_new((size_t)e->plan.n_seq * sizeof *e->pass_seqs);
    e->batch = mem_new((size_t)e->plan.n_seq * sizeof *e->batch);
    e->order = mem_new((size_t)e->plan.n_seq * sizeof *e->order);
    TRY(rows_new(e, err));
    /* a step gives every sequence a token, an end and the first of its prompt's events, each row one of those, and ends what
     * was cancelled or late in the queue */
    e->events =
        mem_new(((size_t)e->plan.n_seq * 3 + (size_t)limits.n_row + N_CANCEL + N_EXPIRE) * sizeof *e->events);
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
    if (m->stream && !e->options.memory_bytes)
        e->options.memory_bytes = lathe_memory_room() / 16 * 15;
    e->next_id = 1;
    e->options.no_prefix_cache |= m->config.encoder; /* what it computes depends on all that follows */
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
    free_list(e, e->queue.first);
    free_list(e, e->ended);
    queue_free(&e->queue);
    warm_free(e->warm);
    pass_free(e->pass);
    pool_free(e->pool); /* before what its operations are in */
    prefix_free(&e->prefix);
    swap_free(&e->swap);
    pages_free_all(&e->pages);
    free(e->slots);
    free(e->row_tokens);
    free(e->pass_seqs);
    free(e->batch);
    free(e->order);
    free(e->events);
    rows_free(e);
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
    s->tenant = queue_enter_tenant(&e->queue, r->tenant);
    e->n_deadline += s->deadline_ns || s->first_deadline_ns;
    queue_append(&e->queue, s);
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

/* ---- the step ---- */

static void end_waiting(struct lathe_engine *e, struct seq *s, enum lathe_finish why,
                        const struct lathe_err *cause)
{
    queue_remove(&e->queue, s);
    engine_finish(e, s, why, cause, false);
    s->next = e->ended;
    e->ended = s;
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
        for (struct seq *s = e->queue.first; s; s = s->next)
            if (s->id == id) {
                end_waiting(e, s, LATHE_FINISH_CANCELLED, NULL);
                break;
            }
    }
}

/* Whether a deadline of the sequence has passed; says which. */
static bool is_late(const struct seq *s, uint64_t now, struct lathe_err *why)
{
    bool first = s->first_deadline_ns && !s->first_ns && now > s->first_deadline_ns;
    if (!first && !(s->deadline_ns && now > s->deadline_ns))
        return false;
    err_set(why, LATHE_E_DEADLINE, first ? "no first token after %.0f ms" : "not done after %.0f ms",
            first ? s->request.ttft_deadline_ms : s->request.timeout_ms);
    return true;
}

static void expire(struct lathe_engine *e)
{
    uint64_t now = e->n_deadline ? clock_ns() : 0;
    struct lathe_err why;
    int n = 0;
    for (int i = 0; i < e->plan.n_seq && e->n_deadline; i++)
        if (e->slots[i] && e->slots[i]->state == SEQ_RUNNING && is_late(e->slots[i], now, &why))
            engine_finish(e, e->slots[i], LATHE_FINISH_ERROR, &why, false);
    for (struct seq *s = e->n_deadline ? e->queue.first : NULL, *next; s && n < N_EXPIRE; s = next) {
        next = s->next;
        if (!is_late(s, now, &why))
            continue;
        end_waiting(e, s, LATHE_FINISH_ERROR, &why);
        n++;
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
        leave_slot(e, s);
        publish_end(e, s);
        seq_drop_pages(e, s);
        s->next = e->ended;
        e->ended = s;
    }
}

/* One pass, and what it brought. */
static int run_pass(struct lathe_engine *e, const struct pass_batch *b, struct lathe_err *err)
{
    int n_decode = 0, n_prompt = 0;
    double work = 0;
    uint64_t start = clock_ns();
    for (int i = 0; i < b->n_seq; i++) {
        const struct pass_seq *s = &b->seqs[i];
        if (s->pos0 < e->batch[i]->n_prompt)
            e->stats.n_prompt_token += (uint64_t)s->n_row;
        if (seq_n_todo(e->batch[i]) == 1) {
            n_decode++;
            continue;
        }
        n_prompt += s->n_row;
        work += budget_work(&e->budget, s->pos0, s->n_row);
    }
    pass_run(e->pass, b);
    if (model_damaged(e->model))
        return err_set(err, LATHE_E_FILE, "%s or its laid-out copy was cut while it was in use",
                       model_file_path(e->model->file));
    for (int i = 0; i < b->n_seq; i++) {
        e->batch[i]->n_past += b->seqs[i].n_row;
        publish(e, e->batch[i]);
    }
    batch_use_rows(e, b);
    double ms = (double)(clock_ns() - start) * 1e-6;
    budget_note(&e->budget, n_decode, n_prompt, work, ms);
    e->stats.step_ms = ms;
    e->stats.n_pass++;
    e->stats.n_row += (uint64_t)b->n_row;
    e->stats.stream_bytes += e->plan.stream_bytes;
    e->stats.most_in_pass = b->n_seq > e->stats.most_in_pass ? b->n_seq : e->stats.most_in_pass;
    return 0;
}

int lathe_engine_step(lathe_engine *e, struct lathe_err *err)
{
    collect_ended(e);
    drain_cancels(e);
    expire(e);
    clear_slots(e);
    admit(e);
    grow(e);
    struct pass_batch b = batch_make(e);
    if (b.n_row) {
        TRY(run_pass(e, &b, err));
        clear_slots(e);
    }
    return e->n_running + e->queue.n;
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
