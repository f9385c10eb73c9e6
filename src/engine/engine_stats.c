/* The state of an engine for those who watch it. */
#include "base/clock.h"
#include "engine/engine.h"

void lathe_engine_get_stats(const lathe_engine *e, struct lathe_engine_stats *out)
{
    *out = e->stats;
    out->n_running = e->n_running;
    out->n_waiting = e->queue.n;
    out->n_waiting_token = e->queue.n_token;
    out->n_page = e->plan.n_page;
    out->n_page_cached = e->prefix.n_idle;
    out->n_page_used = e->plan.n_page - e->pages.n_free - e->prefix.n_idle;
    out->n_prefix_evicted = e->prefix.n_evicted;
    out->expert_bytes = pass_expert_bytes(e->pass);
    out->prefill_rate = e->budget.prefill_rate;
    out->decode_rate = e->budget.decode_rate;
}

static enum lathe_request_state state_of(const struct seq *s)
{
    if (s->state == SEQ_WAITING)
        return s->was_preempted ? LATHE_REQUEST_PREEMPTED : LATHE_REQUEST_WAITING;
    return seq_n_todo(s) > 1 ? LATHE_REQUEST_PREFILL : LATHE_REQUEST_DECODE;
}

bool lathe_engine_request(const lathe_engine *e, int i, struct lathe_request_info *out)
{
    const struct seq *s = NULL;
    for (int slot = 0; slot < e->plan.n_seq && !s; slot++)
        if (e->slots[slot] && e->slots[slot]->state != SEQ_DONE && i-- == 0)
            s = e->slots[slot];
    for (const struct seq *q = e->queue.first; q && !s; q = q->next)
        if (i-- == 0)
            s = q;
    if (i >= 0 || !s)
        return false;
    *out = (struct lathe_request_info){.id = s->id,
                                       .tenant = s->request.tenant,
                                       .state = state_of(s),
                                       .age_ms = (double)(clock_ns() - s->submitted_ns) / 1e6,
                                       .n_prompt = s->n_prompt,
                                       .n_generated = s->n_token - s->n_prompt,
                                       .n_cached = s->n_cached,
                                       .n_page = s->n_page,
                                       .priority = s->request.priority};
    return true;
}
