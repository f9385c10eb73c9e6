/* Speed of an engine.
 *
 * Requests that finish their prompt early decode while others are still in prefill, so each may generate a
 * few tokens more than the steps that are counted; what is left after the last counted step is cancelled. */
#include "measure/speed.h"
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"

struct run {
    lathe_engine *e;
    uint64_t *id;
    bool *started; /* request i has its first token */
    int n_batch, n_started, n_done;
    long n_token;
};

/* Steps that the prompts take at most, which early requests spend decoding. */
static int slack_of(int n_batch, int n_prompt, int n_chunk)
{
    int chunk = n_chunk ? n_chunk : 512;
    return n_batch == 1 ? 0 : (int)(((long)n_batch * n_prompt + chunk - 1) / chunk) + n_batch;
}

int speed_context(int n_batch, int n_prompt, int n_predict, int n_chunk)
{
    return n_prompt + n_predict + 1 + slack_of(n_batch, n_prompt, n_chunk);
}

static int take_events(struct run *r, struct lathe_err *err)
{
    struct lathe_event e;
    while (lathe_engine_poll(r->e, &e)) {
        if (e.kind == LATHE_EVENT_DONE) {
            r->n_done++;
            if (e.finish == LATHE_FINISH_ERROR) {
                *err = e.err;
                return e.err.code ? e.err.code : LATHE_E_FAILED;
            }
            continue;
        }
        r->n_token++;
        for (int i = 0; i < r->n_batch; i++)
            if (r->id[i] == e.id && !r->started[i]) {
                r->started[i] = true;
                r->n_started++;
            }
    }
    return 0;
}

static uint64_t expert_bytes(const struct run *r)
{
    struct lathe_engine_stats s;
    lathe_engine_get_stats(r->e, &s);
    return s.expert_bytes;
}

static int step(struct run *r, struct lathe_err *err)
{
    int n = lathe_engine_step(r->e, err);
    if (n < 0)
        return n;
    TRY(take_events(r, err));
    if (n == 0 && r->n_done < r->n_batch)
        return err_set(err, LATHE_E_FAILED, "the engine stopped with %d of %d requests unfinished",
                       r->n_batch - r->n_done, r->n_batch);
    return 0;
}

static int submit_all(struct run *r, const int32_t *ids, int n_prompt, int n_predict, struct lathe_err *err)
{
    struct lathe_request q;
    lathe_request_init(&q);
    q.n_ids = (size_t)n_prompt;
    q.logits_from = n_prompt - 1;
    q.n_predict = n_predict;
    q.ignore_eos = true;
    for (int i = 0; i < r->n_batch; i++) {
        q.ids = ids + (size_t)i * (size_t)n_prompt;
        TRY(lathe_engine_submit(r->e, &q, &r->id[i], err));
    }
    return 0;
}

static int drain(struct run *r, struct lathe_err *err)
{
    for (int i = 0; i < r->n_batch; i++)
        while (!lathe_engine_cancel(r->e, r->id[i]))
            TRY(step(r, err));
    while (r->n_done < r->n_batch)
        TRY(step(r, err));
    return 0;
}

int speed_run(lathe_engine *e, const int32_t *ids, int n_batch, int n_prompt, int n_predict, int n_chunk,
              void (*after_prefill)(void *user), void *user, struct speed *out, struct lathe_err *err)
{
    struct run r = {.e = e, .n_batch = n_batch};
    int rc;
    r.id = mem_new(sizeof *r.id * (size_t)n_batch);
    r.started = mem_new(sizeof *r.started * (size_t)n_batch);
    double start = clock_s();
    TRY_GOTO(submit_all(&r, ids, n_prompt, n_predict + 1 + slack_of(n_batch, n_prompt, n_chunk), err));
    while (r.n_started < n_batch)
        TRY_GOTO(step(&r, err));
    if (r.n_done) {
        rc = err_set(err, LATHE_E_NOMEM,
                     "the KV cache has no room for %d requests at once: raise --memory or lower --batch",
                     n_batch);
        goto done;
    }
    double first = clock_s();
    if (after_prefill)
        after_prefill(user);
    double decode = clock_s();
    long n_before = r.n_token;
    uint64_t bytes_before = expert_bytes(&r);
    for (int i = 0; i < n_predict && r.n_done < n_batch; i++)
        TRY_GOTO(step(&r, err));
    *out = (struct speed){.prefill_s = first - start,
                          .decode_s = clock_s() - decode,
                          .n_step = n_predict,
                          .n_token = r.n_token - n_before,
                          .expert_bytes = expert_bytes(&r) - bytes_before};
    rc = drain(&r, err);
done:
    free(r.id);
    free(r.started);
    return rc;
}
