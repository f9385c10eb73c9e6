/* One of the two models of an evaluation. */
#include "measure/eval_side.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

int eval_side_init(struct eval_side *s, const char *name, lathe_engine *e, int n_row, int n_vocab,
                   struct lathe_err *err)
{
    void *p = NULL;
    if (e)
        TRY(mem_try((size_t)n_row, sizeof *s->logits * (size_t)n_vocab, "rows of logits", &p, err));
    *s = (struct eval_side){.name = name, .engine = e, .n_row = n_row, .logits = p};
    return 0;
}

void eval_side_free(struct eval_side *s)
{
    free(s->logits);
    s->logits = NULL;
}

static void on_logits(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    struct eval_side *s = user;
    if (s->n == s->n_row)
        return;
    if (s->n == 0)
        s->first = position;
    memcpy(s->logits + (size_t)s->n++ * (size_t)n_vocab, logits, sizeof *logits * (size_t)n_vocab);
}

int eval_side_begin(struct eval_side *s, int chunk, const int32_t *ids, size_t n_ids, struct lathe_err *err)
{
    struct lathe_request r;
    uint64_t id;
    lathe_request_init(&r);
    r.ids = ids;
    r.n_ids = n_ids;
    r.n_predict = 0;
    r.on_logits = on_logits;
    r.user = s;
    r.logits_from = 0;
    s->chunk = chunk;
    s->done = false;
    s->n = 0;
    return lathe_engine_submit(s->engine, &r, &id, err);
}

/* One step and what it brought; *n_left as of lathe_engine_step. */
static int step(struct eval_side *s, int *n_left, struct lathe_err *err)
{
    struct lathe_event e;
    *n_left = lathe_engine_step(s->engine, err);
    if (*n_left < 0)
        return *n_left;
    while (lathe_engine_poll(s->engine, &e)) {
        if (e.kind != LATHE_EVENT_DONE)
            continue;
        s->done = true;
        if (e.finish == LATHE_FINISH_ERROR)
            return err_set(err, e.err.code, "%s, chunk %d: %.400s", s->name, s->chunk, e.err.text);
    }
    return 0;
}

int eval_side_next(struct eval_side *s, struct lathe_err *err)
{
    int n_left = 1;
    s->n = 0;
    while (!s->n && !s->done && n_left > 0)
        TRY(step(s, &n_left, err));
    return s->n ? 0
                : err_set(err, LATHE_E_FAILED, "%s, chunk %d: the engine stopped early", s->name, s->chunk);
}

int eval_side_end(struct eval_side *s, struct lathe_err *err)
{
    for (int n_left = 1; !s->done && n_left > 0;)
        TRY(step(s, &n_left, err));
    return 0;
}
