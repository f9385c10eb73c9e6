/* The task part of lathe eval. */
#include "cli/eval_tasks.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "cli/json.h"
#include "measure/ask_file.h"

static void show_progress(void *user, double share)
{
    progress_show(user, "asking", share < 1 ? share : 1);
}

static int make_engine(struct session *s, const struct cli_options *o, int longest, struct lathe_err *err)
{
    TRY(session_need_generator(s, err));
    int n_ctx = o->n_ctx ? o->n_ctx : longest < s->info.n_ctx_train ? longest : s->info.n_ctx_train;
    struct lathe_engine_options eo = session_engine_options(s, o, TASK_SEQUENCES, n_ctx);
    eo.n_ctx = n_ctx;
    eo.n_kv_token = 4 * n_ctx > TASK_KV_TOKENS ? 4 * n_ctx : TASK_KV_TOKENS;
    eo.firm &= ~(unsigned)(LATHE_FIRM_KV | LATHE_FIRM_SEQ);
    eo.no_prefix_cache = false;
    lathe_engine_free(s->engine);
    s->engine = NULL;
    return lathe_engine_new(s->model, &eo, &s->engine, err);
}

static bool is_right(const struct task_file *f, const struct task_result *r, int i, bool norm)
{
    if (f->is_last_word)
        return r[i].is_greedy;
    return (norm ? r[i].pick_norm : r[i].pick) == f->items[i].gold;
}

/* Perplexity per word of last words; items are drawn again as chunks of a text are, many of them in blocks. */
static struct interval word_perplexity(const struct task_file *f, const struct task_result *r)
{
    enum { MOST_BLOCKS = 4096 };
    struct draws d;
    int n_block = f->n_item < MOST_BLOCKS ? f->n_item : MOST_BLOCKS;
    double *nll = mem_new(sizeof *nll * (size_t)n_block), *n = mem_new(sizeof *n * (size_t)n_block);
    for (int i = 0; i < f->n_item; i++) {
        nll[i % n_block] -= r[i].logp[0];
        n[i % n_block]++;
    }
    draws_init(&d, n_block);
    struct interval v = interval_ratio(&d, nll, n, exp);
    draws_free(&d);
    free(nll);
    free(n);
    return v;
}

static int score(struct session *s, const struct task_file *f, struct task_result *results,
                 struct eval_score *out, struct lathe_err *err)
{
    struct lathe_engine_plan plan;
    lathe_engine_get_plan(s->engine, &plan);
    struct task_run run = {.engine = s->engine,
                           .n_ctx = plan.n_ctx,
                           .n_vocab = s->info.n_vocab,
                           .progress = show_progress,
                           .user = &s->bar};
    double start = clock_s();
    int rc = task_run(&run, f, results, &out->n_token, err);
    progress_end(&s->bar);
    out->seconds = clock_s() - start;
    if (rc)
        return rc;
    long n_right = 0, n_right_norm = 0;
    for (int i = 0; i < f->n_item; i++) {
        n_right += is_right(f, results, i, false);
        n_right_norm += is_right(f, results, i, true);
    }
    out->acc = task_share(n_right, f->n_item);
    out->acc_norm = task_share(n_right_norm, f->n_item);
    if (f->is_last_word)
        out->ppl = word_perplexity(f, results);
    return 0;
}

static void log_item(FILE *f, const char *task, const char *model, const struct task_item *item, int index,
                     const struct task_result *r)
{
    json_t *logp = json_array();
    for (int k = 0; k < item->n_choice; k++)
        json_array_append_new(logp, json_real(r->logp[k]));
    json_t *j =
        json_pack("{ss ss si so si si sb si}", "task", task, "model", model, "item", index, "logp", logp,
                  "pick", r->pick, "pick_norm", r->pick_norm, "greedy", r->is_greedy, "gold", item->gold);
    json_dumpf(j, f, JSON_PRESERVE_ORDER | JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', f);
    json_decref(j);
}

void eval_tasks_log(FILE *f, const struct task_file *file, const char *model, const struct task_result *r)
{
    for (int i = 0; f && i < file->n_item; i++)
        log_item(f, file->name, model, &file->items[i], i, &r[i]);
}

static struct interval agreement(const struct task_file *f, const struct task_result *a,
                                 const struct task_result *b)
{
    long n = 0;
    for (int i = 0; i < f->n_item; i++)
        n += f->is_last_word ? a[i].is_greedy == b[i].is_greedy : a[i].pick_norm == b[i].pick_norm;
    return task_share(n, f->n_item);
}

static int run_task(struct eval_task *t, struct session *s, struct session *ref, FILE *log,
                    struct lathe_err *err)
{
    size_t n = (size_t)t->file.n_item;
    struct task_result *own = mem_new(sizeof *own * n), *other = mem_new(sizeof *other * n);
    int rc = score(s, &t->file, own, &t->own, err);
    if (!rc && ref)
        rc = score(ref, &t->file, other, &t->ref, err);
    if (!rc && ref)
        t->same_choice = agreement(&t->file, own, other);
    if (!rc)
        eval_tasks_log(log, &t->file, "model", own);
    if (!rc && ref)
        eval_tasks_log(log, &t->file, "reference", other);
    free(own);
    free(other);
    return rc;
}

static int read_files(struct eval_tasks *t, const struct session *s, const struct cli_options *o,
                      int *longest, struct lathe_err *err)
{
    for (int i = 0; i < o->tasks.n; i++) {
        if (ask_file_is(o->tasks.v[i]))
            continue;
        struct task_file *f = &t->v[t->n++].file;
        TRY(task_file_read(f, o->tasks.v[i], lathe_model_vocab(s->model), o->n_task_item, err));
        *longest = task_longest(f) > *longest ? task_longest(f) : *longest;
    }
    return 0;
}

int eval_tasks_run(struct eval_tasks *t, struct session *s, const struct cli_options *o, struct session *ref,
                   const struct cli_options *ref_options, FILE *log, struct lathe_err *err)
{
    int longest = 0, rc = 0;
    TRY(read_files(t, s, o, &longest, err));
    if (!t->n)
        return 0;
    TRY(make_engine(s, o, longest, err));
    if (ref)
        TRY(make_engine(ref, ref_options, longest, err));
    t->has_reference = ref != NULL;
    for (int i = 0; !rc && i < t->n; i++)
        rc = run_task(&t->v[i], s, ref, log, err);
    return rc;
}

void eval_tasks_free(struct eval_tasks *t)
{
    for (int i = 0; i < t->n; i++)
        task_file_free(&t->v[i].file);
    t->n = 0;
}
