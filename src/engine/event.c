/* Events of requests: a token, the end. */
#include "base/clock.h"
#include "engine/engine.h"

struct lathe_event *engine_event(struct lathe_engine *e, struct seq *s, enum lathe_event_kind kind)
{
    struct lathe_event *ev = &e->events[e->n_event++];
    *ev = (struct lathe_event){.kind = kind, .id = s->id, .text = "", .token = -1};
    return ev;
}

void event_take_text(struct seq *s, struct lathe_event *ev)
{
    if (s->stream.ready.n) {
        ev->text = s->stream.ready.p;
        ev->n_text = s->stream.ready.n;
    }
}

void engine_finish(struct lathe_engine *e, struct seq *s, enum lathe_finish why,
                   const struct lathe_err *cause, bool stopped)
{
    struct lathe_event *ev = engine_event(e, s, LATHE_EVENT_DONE);
    s->ended_ns = clock_ns();
    if (!stopped) {
        stream_end(&s->stream);
        event_take_text(s, ev);
    }
    ev->finish = why;
    if (cause)
        ev->err = *cause;
    uint64_t started = s->started_ns ? s->started_ns : s->ended_ns,
             first = s->first_ns ? s->first_ns : s->ended_ns;
    ev->timings = (struct lathe_timings){.queue_ms = (double)(started - s->submitted_ns) / 1e6,
                                         .prefill_ms = (double)(first - started) / 1e6,
                                         .decode_ms = (double)(s->ended_ns - first) / 1e6,
                                         .n_prompt = s->n_prompt,
                                         .n_cached = s->n_cached,
                                         .n_generated = s->n_token - s->n_prompt};
    ev->embedding = why == LATHE_FINISH_LENGTH ? s->embedding : NULL;
    ev->n_embedding = ev->embedding ? s->n_embedding : 0;
    e->n_deadline -= s->deadline_ns || s->first_deadline_ns;
    queue_leave_tenant(&e->queue, s->tenant);
    s->state = SEQ_DONE;
}
