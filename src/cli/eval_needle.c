/* The part of lathe eval that looks for a fact at depths of a long text. */
#include "cli/eval_needle.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "cli/eval_tasks.h"
#include "cli/json.h"
#include "cli/text_chunks.h"
#include "measure/needle.h"

enum { SEQUENCES = NEEDLE_CHOICES + 2 };

static void show_progress(void *user, double share)
{
    progress_show(user, "looking", share < 1 ? share : 1);
}

/* Room for the context that is asked, the next one, and what both begin with. */
static int make_engine(struct session *s, const struct cli_options *o, int length, struct lathe_err *err)
{
    TRY(session_need_generator(s, err));
    if (length > s->info.n_ctx_train)
        return err_set(err, LATHE_E_USAGE, "--needle %d: the context of %.100s is %d tokens", length,
                       s->info.name, s->info.n_ctx_train);
    struct lathe_engine_options eo = session_engine_options(s, o, SEQUENCES, length);
    eo.n_ctx = length;
    eo.n_kv_token = 3 * length + 64 * SEQUENCES;
    eo.firm &= ~(unsigned)(LATHE_FIRM_KV | LATHE_FIRM_SEQ);
    eo.no_prefix_cache = false;
    lathe_engine_free(s->engine);
    s->engine = NULL;
    return lathe_engine_new(s->model, &eo, &s->engine, err);
}

static int run_length(struct session *s, const struct task_file *f, const struct eval_needle *e,
                      struct eval_needle_cell *cells, struct eval_needle_score *out, FILE *log,
                      struct lathe_err *err)
{
    struct lathe_engine_plan plan;
    struct lathe_engine_stats stats;
    struct task_result *results = mem_new(sizeof *results * (size_t)f->n_item);
    long n_token = 0;
    lathe_engine_get_plan(s->engine, &plan);
    struct task_run run = {.engine = s->engine,
                           .n_ctx = plan.n_ctx,
                           .n_vocab = s->info.n_vocab,
                           .n_group = 1,
                           .progress = show_progress,
                           .user = &s->bar};
    double start = clock_s();
    int rc = task_run(&run, f, results, &n_token, err);
    progress_end(&s->bar);
    out->seconds += clock_s() - start;
    lathe_engine_get_stats(s->engine, &stats);
    out->n_token += n_token;
    out->n_computed += (long)stats.n_row;
    for (int i = 0; !rc && i < f->n_item; i++) {
        struct eval_needle_cell *cell = &cells[e->n_depth - 1 - i % e->n_depth];
        cell->found += results[i].is_greedy;
        cell->ranked += results[i].pick == 0;
    }
    if (!rc)
        eval_tasks_log(log, f, out == &e->own ? "model" : "reference", results);
    free(results);
    return rc;
}

static int score(struct session *s, const struct cli_options *o, const struct eval_needle *e,
                 const struct text_chunks *text, struct eval_needle_score *out, FILE *log,
                 struct lathe_err *err)
{
    long n_found = 0, n_ranked = 0, n = (long)e->lengths.n * e->n_depth * e->n_key;
    out->cells = mem_new(sizeof *out->cells * (size_t)e->lengths.n * (size_t)e->n_depth);
    for (int i = 0; i < e->lengths.n; i++) {
        struct task_file f;
        struct needle_options no = {.vocab = lathe_model_vocab(s->model),
                                    .ids = text->ids,
                                    .n_id = text->n_ids,
                                    .length = e->lengths.v[i],
                                    .n_depth = e->n_depth,
                                    .n_key = e->n_key};
        TRY(make_engine(s, o, e->lengths.v[i], err));
        int rc = needle_make(&f, &no, err);
        if (!rc)
            rc = run_length(s, &f, e, out->cells + (size_t)i * (size_t)e->n_depth, out, log, err);
        task_file_free(&f);
        if (rc)
            return rc;
    }
    for (int i = 0; i < e->lengths.n * e->n_depth; i++) {
        n_found += out->cells[i].found;
        n_ranked += out->cells[i].ranked;
    }
    out->found = task_share(n_found, n);
    out->ranked = task_share(n_ranked, n);
    return 0;
}

int eval_needle_run(struct eval_needle *e, struct session *s, const struct cli_options *o,
                    struct session *ref, const struct cli_options *ref_options, FILE *log,
                    struct lathe_err *err)
{
    struct text_chunks text = {.ids = NULL};
    *e = (struct eval_needle){.lengths = o->needle,
                              .n_depth = o->n_depth,
                              .n_key = o->n_key,
                              .path = o->text_file,
                              .has_reference = ref != NULL};
    int rc = text_chunks_read(&text, s, o->text_file, NEEDLE_LEAST, err);
    if (!rc)
        rc = score(s, o, e, &text, &e->own, log, err);
    if (!rc && ref)
        rc = score(ref, ref_options, e, &text, &e->ref, log, err);
    text_chunks_free(&text);
    return rc;
}

void eval_needle_free(struct eval_needle *e)
{
    free(e->own.cells);
    free(e->ref.cells);
}

static json_t *json_share(struct interval v)
{
    return json_pack("{sf sf sf}", "value", v.value, "low", v.low, "high", v.high);
}

static json_t *json_score(const struct eval_needle *e, const struct eval_needle_score *s)
{
    json_t *cells = json_array();
    for (int i = 0; i < e->lengths.n * e->n_depth; i++)
        json_array_append_new(cells,
                              json_pack("{si sf si si si}", "length", e->lengths.v[i / e->n_depth], "depth",
                                        needle_depth(i % e->n_depth, e->n_depth), "n", e->n_key, "found",
                                        s->cells[i].found, "ranked", s->cells[i].ranked));
    return json_pack("{so so sI sI sf so}", "found", json_share(s->found), "ranked", json_share(s->ranked),
                     "n_token", (json_int_t)s->n_token, "n_computed", (json_int_t)s->n_computed, "seconds",
                     s->seconds, "cells", cells);
}

json_t *eval_needle_json(const struct eval_needle *e)
{
    json_t *j = json_pack("{so si si so}", "file", json_text(e->path, strlen(e->path)), "n_key", e->n_key,
                          "n_choice", NEEDLE_CHOICES, "model", json_score(e, &e->own));
    if (e->has_reference)
        json_object_set_new(j, "reference", json_score(e, &e->ref));
    return j;
}

static void print_score(const struct eval_needle *e, const struct eval_needle_score *s, const char *whose)
{
    printf("\n%-24s", whose);
    for (int d = 0; d < e->n_depth; d++)
        printf(" %6.0f %%", 100 * needle_depth(d, e->n_depth));
    putchar('\n');
    for (int i = 0; i < e->lengths.n; i++)
        for (int ranked = 0; ranked < 2; ranked++) {
            printf("%8d tokens, %s", e->lengths.v[i], ranked ? "ranked" : "found ");
            for (int d = 0; d < e->n_depth; d++) {
                const struct eval_needle_cell *c = &s->cells[i * e->n_depth + d];
                printf(" %5d/%d", ranked ? c->ranked : c->found, e->n_key);
            }
            putchar('\n');
        }
    printf("%-46s  %12.6g %%  [%.6g, %.6g]\n%-46s  %12.6g %%  [%.6g, %.6g]\n",
           "found: the key is what greedy generation says", 100 * s->found.value, 100 * s->found.low,
           100 * s->found.high, "ranked: it is the likeliest of 10", 100 * s->ranked.value,
           100 * s->ranked.low, 100 * s->ranked.high);
}

void eval_needle_print(const struct eval_needle *e)
{
    if (!e->lengths.n)
        return;
    printf("\nneedle in %s: %ld tokens of which %ld were computed, %.1f s\n", e->path, e->own.n_token,
           e->own.n_computed, e->own.seconds);
    print_score(e, &e->own, "depth");
    if (e->has_reference)
        print_score(e, &e->ref, "depth, the reference");
}
