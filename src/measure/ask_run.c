/* Prompts through an engine, many at once. */
#include "measure/ask_run.h"
#include <stdlib.h>
#include "base/mem.h"

/* So many are in the engine, so that one is there when another ends, and no more wait than that. */
enum { IN_FLIGHT = 2 * ASK_SEQUENCES, ANSWER_LIMIT = 16 << 20 };

struct place {
    uint64_t id;
    int item; /* -1: free */
    struct buf text;
};

struct running {
    const struct ask_run *run;
    const struct ask_prompt *prompts;
    struct ask_answer *answers;
    struct place places[IN_FLIGHT];
    int n_next, n_done; /* items submitted and finished */
    long n_token;
};

static int submit(struct running *w, struct place *p, struct lathe_err *err)
{
    const struct ask_prompt *prompt = &w->prompts[w->n_next];
    int room = w->run->n_ctx - w->run->n_predict, cut = prompt->n_id > room ? prompt->n_id - room : 0;
    struct lathe_request r;
    lathe_request_init(&r);
    r.ids = prompt->ids + cut;
    r.n_ids = (size_t)(prompt->n_id - cut);
    r.n_predict = w->run->n_predict;
    r.stop = w->run->stop;
    r.n_stop = w->run->n_stop;
    p->item = w->n_next++;
    buf_init(&p->text, ANSWER_LIMIT);
    w->n_token += prompt->n_id - cut;
    return lathe_engine_submit(w->run->engine, &r, &p->id, err);
}

static int take(struct running *w, const struct lathe_event *e, struct lathe_err *err)
{
    struct place *p = w->places;
    while (p->item < 0 || p->id != e->id)
        p++;
    buf_put(&p->text, e->text, e->n_text);
    if (e->kind != LATHE_EVENT_DONE)
        return 0;
    if (e->finish == LATHE_FINISH_ERROR)
        return err_set(err, e->err.code, "item %d: %.400s", p->item, e->err.text);
    struct ask_answer *a = &w->answers[p->item];
    a->n_token = e->timings.n_generated;
    a->is_cut = e->finish == LATHE_FINISH_LENGTH;
    a->text = buf_take(&p->text, &a->n);
    w->n_token += a->n_token;
    w->n_done++;
    p->item = -1;
    return 0;
}

static int step(struct running *w, int n, struct lathe_err *err)
{
    struct lathe_event e;
    for (int i = 0; i < IN_FLIGHT && w->n_next < n; i++)
        if (w->places[i].item < 0)
            TRY(submit(w, &w->places[i], err));
    int n_left = lathe_engine_step(w->run->engine, err);
    if (n_left < 0)
        return n_left;
    int n_done = w->n_done;
    while (lathe_engine_poll(w->run->engine, &e))
        TRY(take(w, &e, err));
    if (n_left == 0 && w->n_done == n_done)
        return err_set(err, LATHE_E_FAILED, "the engine stopped before all answers were there");
    return 0;
}

int ask_run(const struct ask_run *r, const struct ask_prompt *prompts, int n, struct ask_answer *answers,
            long *n_token, struct lathe_err *err)
{
    struct running *w = mem_new(sizeof *w);
    int rc = 0;
    *w = (struct running){.run = r, .prompts = prompts, .answers = answers};
    for (int i = 0; i < IN_FLIGHT; i++)
        w->places[i].item = -1;
    while (!rc && w->n_done < n) {
        rc = step(w, n, err);
        if (r->progress)
            r->progress(r->user, (double)w->n_done / n);
    }
    for (int i = 0; i < IN_FLIGHT; i++)
        if (w->places[i].item >= 0)
            buf_free(&w->places[i].text);
    *n_token = w->n_token;
    free(w);
    return rc;
}

void ask_answers_free(struct ask_answer *answers, int n)
{
    for (int i = 0; i < n; i++)
        free(answers[i].text);
}
