/* The part of lathe eval that is about embeddings. */
#include "cli/eval_pairs.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "cli/json.h"

enum { GENERATOR_SEQUENCES = 16 };

static void show_progress(void *user, double share)
{
    progress_show(user, "embedding", share);
}

static int make_engine(struct session *s, const struct cli_options *o, struct lathe_err *err)
{
    struct lathe_engine_options eo = session_engine_options(s, o, GENERATOR_SEQUENCES, 0);
    if (!eo.n_ctx)
        eo.n_ctx = s->info.n_ctx_text < SESSION_CONTEXT ? s->info.n_ctx_text : SESSION_CONTEXT;
    if (!eo.n_kv_token)
        eo.n_kv_token = 2 * eo.n_ctx;
    eo.no_prefix_cache = true;
    eo.firm &= ~(unsigned)(LATHE_FIRM_SEQ | LATHE_FIRM_KV);
    lathe_engine_free(s->engine);
    s->engine = NULL;
    return lathe_engine_new(s->model, &eo, &s->engine, err);
}

/* The texts' vectors, which the caller frees in any case, and how their cosines rank the pairs. */
static int score(struct session *s, const struct cli_options *o, const struct pair_file *f,
                 struct pair_vectors *vectors, struct eval_pair_score *out, struct lathe_err *err)
{
    struct lathe_engine_plan plan;
    TRY(make_engine(s, o, err));
    lathe_engine_get_plan(s->engine, &plan);
    struct pair_run run = {.engine = s->engine,
                           .vocab = lathe_model_vocab(s->model),
                           .n_ctx = plan.n_ctx,
                           .n_embd = s->info.n_embd,
                           .progress = show_progress,
                           .user = &s->bar};
    double start = clock_s();
    int rc = pair_run(&run, f, vectors, err);
    progress_end(&s->bar);
    out->seconds = clock_s() - start;
    out->n_token = vectors->n_token;
    if (rc)
        return rc;
    double *cosines = mem_new(sizeof *cosines * (size_t)f->n),
           *scores = mem_new(sizeof *scores * (size_t)f->n);
    for (int i = 0; i < f->n; i++) {
        cosines[i] = pair_cosine(vectors, i);
        scores[i] = f->v[i].score;
    }
    out->spearman = pair_spearman(cosines, scores, f->n);
    free(cosines);
    free(scores);
    return 0;
}

int eval_pairs_run(struct eval_pairs *p, struct session *s, const struct cli_options *o, struct session *ref,
                   const struct cli_options *ref_options, struct lathe_err *err)
{
    struct pair_vectors own = {.v = NULL}, other = {.v = NULL};
    TRY(pair_file_read(&p->file, o->pairs, o->n_task_item, err));
    int rc = score(s, o, &p->file, &own, &p->own, err);
    if (!rc && ref && ref->info.n_embd != s->info.n_embd)
        rc = err_set(err, LATHE_E_USAGE, "a vector of %.100s has %d numbers, of %.100s %d", ref->info.name,
                     ref->info.n_embd, s->info.name, s->info.n_embd);
    if (!rc && ref)
        rc = score(ref, ref_options, &p->file, &other, &p->ref, err);
    p->has_reference = ref != NULL;
    if (!rc && ref)
        p->drift = pair_drift_of(&own, &other, 2 * p->file.n);
    free(own.v);
    free(other.v);
    return rc;
}

void eval_pairs_free(struct eval_pairs *p)
{
    pair_file_free(&p->file);
}

static json_t *json_score(const struct eval_pair_score *s)
{
    bool is_there = isfinite(s->spearman.value);
    json_t *rho = !is_there ? json_object()
                            : json_pack("{sf sf sf}", "value", s->spearman.value, "low", s->spearman.low,
                                        "high", s->spearman.high);
    return json_pack("{so sI sf sf}", "spearman", rho, "n_token", (json_int_t)s->n_token, "seconds",
                     s->seconds, "tok_s", (double)s->n_token / s->seconds);
}

json_t *eval_pairs_json(const struct eval_pairs *p)
{
    json_t *j = json_pack("{so so si so}", "name", json_text(p->file.name, strlen(p->file.name)), "file",
                          json_text(p->file.path, strlen(p->file.path)), "n_pair", p->file.n, "model",
                          json_score(&p->own));
    if (p->has_reference) {
        json_object_set_new(j, "reference", json_score(&p->ref));
        json_object_set_new(j, "drift",
                            json_pack("{sf sf sf si}", "mean", p->drift.mean, "low_1", p->drift.low_1,
                                      "least", p->drift.least, "least_pair", p->drift.least_text / 2));
    }
    return j;
}

static void print_score(const char *line, const struct eval_pair_score *s)
{
    printf("%-46s  %12.6g  [%.6g, %.6g]\n", line, s->spearman.value, s->spearman.low, s->spearman.high);
}

void eval_pairs_print(const struct eval_pairs *p)
{
    if (!p->file.n)
        return;
    printf("\n%s: %d pairs, %.1f s\n", p->file.name, p->file.n, p->own.seconds + p->ref.seconds);
    print_score("Spearman's rank correlation", &p->own);
    if (!p->has_reference)
        return;
    print_score("  of the reference", &p->ref);
    printf("%-46s  %12.6g\n%-46s  %12.6g\n%-46s  %12.6g  in pair %d\n",
           "cosine with the reference's vectors, mean", p->drift.mean, "  1 % below", p->drift.low_1,
           "  least", p->drift.least, p->drift.least_text / 2);
}
