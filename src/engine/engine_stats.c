/* The state of an engine for those who watch it. */
#include "base/clock.h"
#include "engine/engine.h"

void lathe_engine_get_stats(const lathe_engine *e, struct lathe_engine_stats *out)
{
    *out = e->stats;
    out->n_page = e->plan.n_page;
    out->n_page_used = e->plan.n_page - e->pages.n_free;
    for (int i = 0; i < e->plan.n_seq; i++)
        out->n_running += e->slots[i] != NULL;
    for (const struct seq *s = e->queue; s; s = s->next) {
        out->n_waiting++;
        out->n_waiting_token += s->n_token - s->n_past;
    }
}

bool lathe_engine_request(const lathe_engine *e, int i, struct lathe_request_info *out)
{
    const struct seq *s = NULL;
    for (int slot = 0; slot < e->plan.n_seq && !s; slot++)
        if (e->slots[slot] && i-- == 0)
            s = e->slots[slot];
    for (const struct seq *q = e->queue; q && !s; q = q->next)
        if (i-- == 0)
            s = q;
    if (!s)
        return false;
    *out = (struct lathe_request_info){.id = s->id,
                                       .tenant = s->request.tenant,
                                       .state = s->state == SEQ_QUEUED       ? LATHE_REQUEST_WAITING
                                                : s->n_token - s->n_past > 1 ? LATHE_REQUEST_PREFILL
                                                                             : LATHE_REQUEST_DECODE,
                                       .age_ms = (double)(clock_ns() - s->submitted_ns) / 1e6,
                                       .n_prompt = s->n_prompt,
                                       .n_generated = s->n_token - s->n_prompt,
                                       .n_cached = s->n_cached,
                                       .n_page = s->n_page,
                                       .priority = s->request.priority};
    return true;
}
