/* The items of a task file through an engine. */
#include "measure/task_run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/logits.h"

struct running;

/* A request: of a context alone, or of a choice behind it. */
struct ask {
    struct running *run;
    struct task_item *item;
    int index, choice; /* choice -1: the context */
    int n_context;     /* tokens of the context that are left */
    double logp;
    bool is_greedy;
    uint64_t id;
};

struct running {
    const struct task_run *run;
    const struct task_file *file;
    struct task_result *results;
    struct ask *asks; /* [n_ask] that are in the engine */
    int n_ask, n_done;
    int32_t *ids; /* of the request that is put together */
    long n_token;
    int wrong; /* item whose logits are not finite; -1: none */
};

static void on_logits(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    struct ask *a = user;
    const struct task_choice *c = &a->item->choices[a->choice];
    int i = position - (a->n_context - 1);
    struct logits_norm norm;
    if (i < 0 || i >= c->n)
        return;
    if (!logits_normalize(logits, n_vocab, &norm)) {
        a->run->wrong = a->index;
        return;
    }
    a->logp += logits_logp(logits, &norm, c->ids[i]);
    a->is_greedy &= norm.top == c->ids[i];
}

/* Context and choice but for the last token, which is only predicted; what does not fit is cut off at the beginning. */
static int submit(struct running *w, struct ask *a, struct lathe_err *err)
{
    struct lathe_request r;
    const struct task_item *item = a->item;
    const struct task_choice *c = a->choice >= 0 ? &item->choices[a->choice] : NULL;
    int n_most = w->run->n_ctx, n = item->n_context + (c ? c->n : 0) - 1, cut = n > n_most ? n - n_most : 0;
    a->n_context = item->n_context - cut;
    if (a->n_context < 1)
        return err_set(err, LATHE_E_CONTEXT, "%s: item %d has a choice of %d tokens, the context is %d",
                       w->file->path, a->index, c ? c->n : 0, n_most);
    memcpy(w->ids, item->context + cut, sizeof *w->ids * (size_t)a->n_context);
    if (c)
        memcpy(w->ids + a->n_context, c->ids, sizeof *w->ids * (size_t)(c->n - 1));
    lathe_request_init(&r);
    r.ids = w->ids;
    r.n_ids = (size_t)(n - cut);
    r.n_predict = 0;
    r.user = a;
    if (c) {
        r.on_logits = on_logits;
        r.logits_from = a->n_context - 1;
    }
    bool is_alone = item->n_choice == 1; /* its context was not computed before */
    w->n_token += c && !is_alone ? c->n : n - cut;
    return lathe_engine_submit(w->run->engine, &r, &a->id, err);
}

static int add(struct running *w, int index, int choice, struct lathe_err *err)
{
    struct ask *a = &w->asks[w->n_ask++];
    *a = (struct ask){
        .run = w, .item = &w->file->items[index], .index = index, .choice = choice, .is_greedy = true};
    return submit(w, a, err);
}

/* Contexts of items from .. to, of more than the token that each choice computes. */
static int add_contexts(struct running *w, int from, int to, struct lathe_err *err)
{
    for (int i = from; i < to && i < w->file->n_item; i++)
        if (w->file->items[i].n_choice > 1 && w->file->items[i].n_context > 1)
            TRY(add(w, i, -1, err));
    return 0;
}

static int add_choices(struct running *w, int from, int to, struct lathe_err *err)
{
    for (int i = from; i < to && i < w->file->n_item; i++)
        for (int k = 0; k < w->file->items[i].n_choice; k++)
            TRY(add(w, i, k, err));
    return 0;
}

static int run_all(struct running *w, struct lathe_err *err)
{
    struct lathe_event e;
    int n_left = 1;
    while (n_left > 0) {
        n_left = lathe_engine_step(w->run->engine, err);
        if (n_left < 0)
            return n_left;
        while (lathe_engine_poll(w->run->engine, &e))
            if (e.kind == LATHE_EVENT_DONE && e.finish == LATHE_FINISH_ERROR)
                return err_set(err, e.err.code, "%s: %.400s", w->file->path, e.err.text);
    }
    if (w->wrong >= 0)
        return err_set(err, LATHE_E_NUMERIC, "%s: item %d has a logit that is not finite: damaged weights?",
                       w->file->path, w->wrong);
    return 0;
}

/* The finished choices' numbers go to their items. */
static void collect(struct running *w)
{
    for (int i = 0; i < w->n_ask; i++) {
        const struct ask *a = &w->asks[i];
        if (a->choice < 0)
            continue;
        w->results[a->index].logp[a->choice] = a->logp;
        if (a->choice == 0)
            w->results[a->index].is_greedy = a->is_greedy;
    }
    w->n_ask = 0;
}

static void pick(const struct task_item *item, struct task_result *r)
{
    for (int i = 1; i < item->n_choice; i++) {
        const struct task_choice *c = item->choices;
        if (r->logp[i] > r->logp[r->pick])
            r->pick = i;
        if (r->logp[i] / c[i].n_char > r->logp[r->pick_norm] / c[r->pick_norm].n_char) /* n_char > 0 */
            r->pick_norm = i;
    }
}

int task_longest(const struct task_file *file)
{
    int most = 0;
    for (int i = 0; i < file->n_item; i++)
        for (int k = 0; k < file->items[i].n_choice; k++) {
            int n = file->items[i].n_context + file->items[i].choices[k].n;
            most = n > most ? n : most;
        }
    return most;
}

int task_run(const struct task_run *r, const struct task_file *file, struct task_result *results,
             long *n_token, struct lathe_err *err)
{
    struct running w = {.run = r, .file = file, .results = results, .wrong = -1};
    int rc, group = r->n_group ? r->n_group : TASK_GROUP;
    memset(results, 0, sizeof *results * (size_t)file->n_item);
    w.asks = mem_new(sizeof *w.asks * TASK_GROUP * (TASK_MOST_CHOICES + 1));
    w.ids = mem_new(sizeof *w.ids * (size_t)task_longest(file));
    TRY_GOTO(add_contexts(&w, 0, group, err));
    TRY_GOTO(run_all(&w, err));
    w.n_ask = 0;
    for (int i = 0; i < file->n_item; i += group) {
        TRY_GOTO(add_choices(&w, i, i + group, err));
        TRY_GOTO(add_contexts(&w, i + group, i + 2 * group, err));
        TRY_GOTO(run_all(&w, err));
        collect(&w);
        if (r->progress)
            r->progress(r->user, (double)(i + group) / file->n_item);
    }
    for (int i = 0; i < file->n_item; i++)
        pick(&file->items[i], &results[i]);
    *n_token = w.n_token;
done:
    free(w.asks);
    free(w.ids);
    return rc;
}

struct interval task_share(long n_right, long n)
{
    double z = 1.959964, share = (double)n_right / (double)n, count = (double)n;
    double middle = (share + z * z / (2 * count)) / (1 + z * z / count);
    double half = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count);
    return (struct interval){share, middle - half, middle + half};
}
