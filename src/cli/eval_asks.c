/* The part of lathe eval that lets models write. */
#include "cli/eval_asks.h"
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "cli/json.h"
#include "measure/number_answer.h"
#include "measure/task_run.h"

/* Of a kind of task: its metrics, how long an answer may be and what ends it, as lm-evaluation-harness 0.4 has them. */
static const struct {
    const char *metrics[EVAL_ASK_METRICS + 1];
    int n_predict;
    const char *stop[3];
    int n_stop;
} kinds[] = {
    [ASK_NUMBER] = {{"flexible_extract", "strict_match"}, 256, {"Question:", "</s>", "<|im_end|>"}, 3},
    [ASK_INSTRUCTIONS] = {{"prompt_strict", "inst_strict", "prompt_loose", "inst_loose"}, 1280, {NULL}, 0},
};

const char *eval_ask_metric(enum ask_kind kind, int i)
{
    return kinds[kind].metrics[i];
}

/* ---- verdicts ---- */

struct verdict {
    long right[EVAL_ASK_METRICS], of[EVAL_ASK_METRICS]; /* of an item */
};

static void count_unchecked(struct eval_ask_score *s, const char *name)
{
    int i = 0;
    while (i < EVAL_ASK_UNCHECKED - 1 && s->unchecked[i].name && s->unchecked[i].name != name)
        i++;
    s->unchecked[i].name = name;
    s->unchecked[i].n++;
}

static struct verdict judge_number(const struct ask_item *item, struct str text)
{
    struct verdict v = {.of = {1, 1}};
    v.right[0] = number_equal(number_flexible(text), item->gold);
    v.right[1] = number_equal(number_strict(text), item->gold);
    return v;
}

static struct verdict judge_instructions(const struct ask_item *item, struct str text,
                                         struct eval_ask_score *s)
{
    struct verdict v = {.right = {1, 0, 1, 0}, .of = {1, item->n_rule, 1, item->n_rule}};
    for (int i = 0; i < item->n_rule; i++) {
        enum ifeval_verdict strict = ifeval_strict(&item->rules[i], text),
                            loose = ifeval_loose(&item->rules[i], text);
        v.right[0] &= strict != IFEVAL_NOT;
        v.right[1] += strict != IFEVAL_NOT;
        v.right[2] &= loose != IFEVAL_NOT;
        v.right[3] += loose != IFEVAL_NOT;
        if (strict == IFEVAL_UNCHECKED)
            count_unchecked(s, ifeval_rule_name(&item->rules[i]));
    }
    return v;
}

static struct verdict judge(const struct ask_file *f, int i, const struct ask_answer *a,
                            struct eval_ask_score *s)
{
    struct str text = {a->text, a->n};
    return f->kind == ASK_NUMBER ? judge_number(&f->items[i], text)
                                 : judge_instructions(&f->items[i], text, s);
}

/* ---- samples ---- */

static json_t *json_verdicts(const struct ask_item *item, struct str text, bool strict)
{
    json_t *list = json_array();
    for (int i = 0; i < item->n_rule; i++) {
        enum ifeval_verdict v =
            strict ? ifeval_strict(&item->rules[i], text) : ifeval_loose(&item->rules[i], text);
        json_array_append_new(list, v == IFEVAL_UNCHECKED ? json_null() : json_boolean(v));
    }
    return list;
}

static void log_answer(FILE *log, const struct ask_file *f, const char *model, int i,
                       const struct ask_answer *a, const struct verdict *v)
{
    struct str text = {a->text, a->n}, strict = number_strict(text), flexible = number_flexible(text);
    json_t *j = json_pack("{so ss si so sb}", "task", json_text(f->name, strlen(f->name)), "model", model,
                          "item", i, "text", json_text(text.p, text.n), "cut", a->is_cut);
    if (f->kind == ASK_NUMBER) {
        json_object_set_new(j, "flexible", json_text(flexible.p, flexible.n));
        json_object_set_new(j, "strict", json_text(strict.p, strict.n));
        json_object_set_new(j, "right", json_pack("[bb]", (int)v->right[0], (int)v->right[1]));
    } else {
        json_object_set_new(j, "strict", json_verdicts(&f->items[i], text, true));
        json_object_set_new(j, "loose", json_verdicts(&f->items[i], text, false));
    }
    json_dumpf(j, log, JSON_PRESERVE_ORDER | JSON_COMPACT);
    fputc('\n', log);
    json_decref(j);
}

/* ---- a task ---- */

static void show_progress(void *user, double share)
{
    progress_show(user, "asking", share);
}

static int make_engine(struct session *s, const struct cli_options *o, int n_need, struct lathe_err *err)
{
    TRY(session_need_generator(s, err));
    struct lathe_engine_options eo = session_engine_options(s, o, ASK_SEQUENCES, n_need);
    int n_ctx = eo.n_ctx ? eo.n_ctx : s->info.n_ctx_train;
    eo.n_ctx = n_ctx;
    eo.n_kv_token = ASK_SEQUENCES / 4 * n_ctx;
    eo.firm &= ~(unsigned)(LATHE_FIRM_KV | LATHE_FIRM_SEQ);
    eo.no_prefix_cache = false;
    lathe_engine_free(s->engine);
    s->engine = NULL;
    return lathe_engine_new(s->model, &eo, &s->engine, err);
}

static int run_prompts(struct session *s, const struct eval_ask *t, struct ask_answer *answers,
                       struct eval_ask_score *out, struct lathe_err *err)
{
    const struct ask_file *f = &t->file;
    struct lathe_engine_plan plan;
    struct ask_prompt *prompts = mem_new(sizeof *prompts * (size_t)f->n_item);
    lathe_engine_get_plan(s->engine, &plan);
    for (int i = 0; i < f->n_item; i++)
        prompts[i] = (struct ask_prompt){f->items[i].ids, f->items[i].n_id};
    struct ask_run run = {.engine = s->engine,
                          .n_ctx = plan.n_ctx,
                          .n_predict = t->n_predict,
                          .stop = kinds[f->kind].stop,
                          .n_stop = (size_t)kinds[f->kind].n_stop,
                          .progress = show_progress,
                          .user = &s->bar};
    double start = clock_s();
    int rc =
        t->n_predict < plan.n_ctx
            ? ask_run(&run, prompts, f->n_item, answers, &out->n_token, err)
            : err_set(err, LATHE_E_CONTEXT,
                      "%s: answers of %d tokens do not fit a context of %d: --max-tokens makes them shorter",
                      f->path, t->n_predict, plan.n_ctx);
    progress_end(&s->bar);
    out->seconds = clock_s() - start;
    free(prompts);
    return rc;
}

/* right[i]: of item i by the first metric. */
static int score(struct session *s, const struct eval_ask *t, const char *model, struct eval_ask_score *out,
                 bool *right, FILE *log, struct lathe_err *err)
{
    const struct ask_file *f = &t->file;
    struct ask_answer *answers = mem_new(sizeof *answers * (size_t)f->n_item);
    struct verdict all = {.right = {0}};
    int rc = run_prompts(s, t, answers, out, err);
    for (int i = 0; !rc && i < f->n_item; i++) {
        struct verdict v = judge(f, i, &answers[i], out);
        right[i] = v.right[0];
        out->n_cut += answers[i].is_cut;
        for (int k = 0; k < EVAL_ASK_METRICS; k++) {
            all.right[k] += v.right[k];
            all.of[k] += v.of[k];
        }
        if (log)
            log_answer(log, f, model, i, &answers[i], &v);
    }
    for (int k = 0; !rc && eval_ask_metric(f->kind, k); k++)
        out->metric[k] = task_share(all.right[k], all.of[k]);
    ask_answers_free(answers, f->n_item);
    free(answers);
    return rc;
}

static int run_task(struct eval_ask *t, struct session *s, struct session *ref, FILE *log,
                    struct lathe_err *err)
{
    int n = t->file.n_item;
    long n_same = 0;
    bool *own = mem_new((size_t)n), *other = mem_new((size_t)n);
    int rc = score(s, t, "model", &t->own, own, log, err);
    if (!rc && ref)
        rc = score(ref, t, "reference", &t->ref, other, log, err);
    for (int i = 0; i < n; i++)
        n_same += own[i] == other[i];
    t->same_verdict = task_share(n_same, n);
    free(own);
    free(other);
    return rc;
}

static int read_files(struct eval_asks *a, const struct session *s, const struct cli_options *o,
                      struct lathe_err *err)
{
    struct ask_options options = {.model = s->model,
                                  .has_template = s->info.chat_template != NULL,
                                  .n_most = o->n_task_item,
                                  .n_shot = o->n_shot};
    for (int i = 0; i < o->tasks.n; i++) {
        if (!ask_file_is(o->tasks.v[i]))
            continue;
        struct eval_ask *t = &a->v[a->n++];
        TRY(ask_file_read(&t->file, o->tasks.v[i], &options, err));
        t->n_predict = o->eval_predict ? o->eval_predict : kinds[t->file.kind].n_predict;
        if (t->file.kind == ASK_INSTRUCTIONS && !t->file.is_chat)
            fprintf(stderr, "lathe: %s: the model has no chat template: prompts are continued as they are\n",
                    t->file.path);
    }
    return 0;
}

int eval_asks_run(struct eval_asks *a, struct session *s, const struct cli_options *o, struct session *ref,
                  const struct cli_options *ref_options, FILE *log, struct lathe_err *err)
{
    TRY(read_files(a, s, o, err));
    a->has_reference = ref != NULL;
    for (int i = 0; i < a->n; i++) {
        int n_need = ask_longest(&a->v[i].file) + a->v[i].n_predict;
        TRY(make_engine(s, o, n_need, err));
        if (ref)
            TRY(make_engine(ref, ref_options, n_need, err));
        TRY(run_task(&a->v[i], s, ref, log, err));
    }
    return 0;
}

void eval_asks_free(struct eval_asks *a)
{
    for (int i = 0; i < a->n; i++)
        ask_file_free(&a->v[i].file);
    a->n = 0;
}
