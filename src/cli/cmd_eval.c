/* lathe eval: a model beside a reference, on a text.
 *
 * The options of models and engines are the candidate's; the reference runs with the defaults, so that what an option costs can
 * be measured with the same file on both sides. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "cli/eval_html.h"
#include "cli/eval_report.h"
#include "cli/input.h"
#include "measure/eval_run.h"
#include "measure/same_vocab.h"

enum { CHUNK = 512, LEAST_CHUNK = 4 };
#define TOKENS_ENOUGH 100000 /* quantiles of 99.9 % then rest on a hundred positions */

struct eval {
    struct session s, ref;
    struct cli_options ref_options;
    struct ref_reader kept;
    struct ref_writer keep;
    bool keeps;
    struct text_chunks text;
    struct compare compare;
    struct draws draws;
    struct eval_tasks tasks;
    struct eval_asks asks;
    struct eval_pairs pairs;
    struct eval_needle needle;
    FILE *log; /* of single items; NULL: not asked for */
};

static struct cli_options reference_options(const struct cli_options *o)
{
    struct cli_options r = *o;
    r.model = o->ref;
    r.exact = o->ref_exact;
    r.load_as = r.precision = 0;
    r.kv_type = (struct opt_pair){LATHE_KV_F16, LATHE_KV_F16};
    r.fusion = 1;
    return r;
}

/* What the reference's context, number of chunks and vocabulary ask of the candidate, if it is kept. */
static int check_kept(const struct eval *e, const struct cli_options *o, struct lathe_err *err)
{
    const struct ref_head *h = &e->kept.head;
    const lathe_vocab *v = lathe_model_vocab(e->s.model);
    if (h->n_vocab != e->s.info.n_vocab || h->vocab_hash != same_vocab_hash(v, e->s.info.n_vocab))
        return err_set(err, LATHE_E_USAGE,
                       "the reference has another tokenizer: %s is of %s with %d tokens, %.100s has %d; "
                       "compare models of one tokenizer",
                       o->ref, h->name, h->n_vocab, e->s.info.name, e->s.info.n_vocab);
    if (o->n_ctx && o->n_ctx != h->chunk_tokens)
        return err_set(err, LATHE_E_USAGE, "--ctx %d: %s was kept with --ctx %d", o->n_ctx, o->ref,
                       h->chunk_tokens);
    if (h->chunk_tokens > e->s.info.n_ctx_train)
        return err_set(err, LATHE_E_USAGE, "%s was kept with --ctx %d: the context of %.100s is %d tokens",
                       o->ref, h->chunk_tokens, e->s.info.name, e->s.info.n_ctx_train);
    return 0;
}

static int choose_context(const struct eval *e, const struct cli_options *o, int *out, struct lathe_err *err)
{
    int most = e->s.info.n_ctx_train;
    if (e->kept.file) {
        *out = e->kept.head.chunk_tokens;
        return 0;
    }
    if (e->ref.model && e->ref.info.n_ctx_train < most)
        most = e->ref.info.n_ctx_train;
    if (o->n_ctx > most)
        return err_set(err, LATHE_E_USAGE, "--ctx %d: the context of %s is %d tokens", o->n_ctx,
                       e->ref.model ? "candidate and reference" : e->s.info.name, most);
    if (o->n_ctx && o->n_ctx < LEAST_CHUNK)
        return err_set(err, LATHE_E_USAGE, "--ctx %d: a chunk needs 4 tokens", o->n_ctx);
    *out = o->n_ctx ? o->n_ctx : most < CHUNK ? most : CHUNK;
    return 0;
}

/* Whole chunks, as many as asked for; a text that has fewer is said. */
static int read_text(struct eval *e, const struct cli_options *o, struct lathe_err *err)
{
    int ctx = CHUNK;
    TRY(choose_context(e, o, &ctx, err));
    TRY(text_chunks_read(&e->text, &e->s, o->text_file, ctx, err));
    long asked = o->n_eval_token ? o->n_eval_token : TOKENS_ENOUGH, n = (asked + ctx - 2) / (ctx - 1);
    if (e->kept.file && !o->n_eval_token)
        n = e->kept.head.n_chunk;
    if (e->kept.file && n > e->kept.head.n_chunk)
        return err_set(err, LATHE_E_USAGE, "--tokens %d: %s has %ld", o->n_eval_token, o->ref,
                       (long)e->kept.head.n_chunk * (ctx - 1));
    if (e->kept.file && n > e->text.n_chunk)
        return err_set(err, LATHE_E_USAGE, "%s: is of another text: %ld chunks of %d tokens, %s has %d",
                       o->ref, n, ctx, o->text_file, e->text.n_chunk);
    if (n > e->text.n_chunk && o->n_eval_token)
        fprintf(stderr, "lathe: --tokens %d: %s has %ld to score, in %d chunks of %d: all of them are\n",
                o->n_eval_token, o->text_file, (long)e->text.n_chunk * (ctx - 1), e->text.n_chunk, ctx);
    if (n < e->text.n_chunk)
        e->text.n_chunk = (int)n;
    if (e->text.n_chunk > UINT16_MAX)
        return err_set(err, LATHE_E_USAGE, "%d chunks: %d at most; ask for fewer --tokens or a longer --ctx",
                       e->text.n_chunk, UINT16_MAX);
    return 0;
}

/* One sequence at a time, but the output head in batches as for many. */
static int make_engine(struct session *s, const struct cli_options *o, int n_ctx, int n_row,
                       struct lathe_err *err)
{
    TRY(session_need_generator(s, err));
    struct lathe_engine_options eo = session_engine_options(s, o, EVAL_HEAD_ROWS, n_ctx);
    eo.n_ctx = eo.n_kv_token = n_ctx;
    eo.n_chunk = n_row;
    eo.no_prefix_cache = true;
    eo.reserve_bytes = 2 * sizeof(float) * (uint64_t)n_row * (uint64_t)s->info.n_vocab;
    eo.firm |= LATHE_FIRM_CHUNK;
    return lathe_engine_new(s->model, &eo, &s->engine, err);
}

static void show_progress(void *user, double share)
{
    progress_show(user, "comparing", share);
}

/* Of the reference, or without one of the model. */
static int create_reference(struct eval *e, const struct cli_options *o, struct lathe_err *err)
{
    const struct session *s = e->ref.model ? &e->ref : &e->s;
    struct ref_head head = {.n_vocab = s->info.n_vocab,
                            .n_chunk = e->text.n_chunk,
                            .chunk_tokens = e->text.chunk_tokens,
                            .is_exact = e->ref.model ? o->ref_exact : o->exact,
                            .vocab_hash = same_vocab_hash(lathe_model_vocab(s->model), s->info.n_vocab),
                            .n_param = s->info.n_param,
                            .resident_bytes = s->info.resident_bytes};
    if (!o->save_ref)
        return 0;
    snprintf(head.name, sizeof head.name, "%s", s->info.name);
    snprintf(head.architecture, sizeof head.architecture, "%s", s->info.architecture);
    snprintf(head.file_type, sizeof head.file_type, "%s", s->info.file_type);
    TRY(ref_create(&e->keep, o->save_ref, &head, err));
    e->keeps = true;
    return 0;
}

static int compare_text(struct eval *e, const struct cli_options *o, double *seconds, struct lathe_err *err)
{
    const struct text_chunks *t = &e->text;
    int n_row = eval_row_count(e->s.info.n_vocab);
    TRY(make_engine(&e->s, o, t->chunk_tokens, n_row, err));
    if (e->ref.model)
        TRY(make_engine(&e->ref, &e->ref_options, t->chunk_tokens, n_row, err));
    TRY(compare_init(&e->compare, t->n_chunk, t->chunk_tokens - 1, err));
    struct lathe_engine_plan plan;
    lathe_engine_get_plan(e->s.engine, &plan);
    struct eval_run run = {.candidate = e->s.engine,
                           .reference = e->ref.engine,
                           .kept = e->kept.file ? &e->kept : NULL,
                           .keep = o->save_ref ? &e->keep : NULL,
                           .n_vocab = e->s.info.n_vocab,
                           .n_row = n_row,
                           .n_thread = plan.n_thread,
                           .ids = t->ids,
                           .n_chunk = t->n_chunk,
                           .chunk_tokens = t->chunk_tokens,
                           .bos = t->bos,
                           .progress = show_progress,
                           .user = &e->s.bar};
    TRY(create_reference(e, o, err));
    double start = clock_s();
    int rc = eval_run(&run, &e->compare, err);
    *seconds = clock_s() - start;
    progress_end(&e->s.bar);
    return e->keeps ? ref_close(&e->keep, rc, err) : rc;
}

/* A kept reference looks like a model that was run with its options. */
static int open_kept(struct eval *e, const struct cli_options *o, struct lathe_err *err)
{
    const struct ref_head *h = &e->kept.head;
    if (o->save_ref)
        return err_set(err, LATHE_E_USAGE, "--save-ref with a kept reference: %s is kept already", o->ref);
    TRY(ref_open(&e->kept, o->ref, err));
    e->ref.info = (struct lathe_model_info){.name = h->name,
                                            .architecture = h->architecture,
                                            .file_type = h->file_type,
                                            .n_param = h->n_param,
                                            .resident_bytes = h->resident_bytes};
    return 0;
}

static int open_models(struct eval *e, const struct cli_options *o, struct lathe_err *err)
{
    if (!o->text_file && !o->tasks.n && !o->pairs)
        return err_set(err, LATHE_E_USAGE,
                       "no text: give the file to score with -f FILE, or --tasks FILE, or --pairs FILE");
    if (o->needle.n && (!o->text_file || o->save_ref))
        return err_set(err, LATHE_E_USAGE,
                       o->save_ref ? "--save-ref: with --needle the text is not scored"
                                   : "--needle needs a text: give it with -f FILE");
    if (!o->text_file && o->save_ref)
        return err_set(err, LATHE_E_USAGE, "--save-ref needs a text: give it with -f FILE");
    if (o->text_file)
        TRY(input_check(o->text_file, err));
    bool is_kept = o->ref && ref_is_kept(o->ref);
    if (is_kept && o->needle.n)
        return err_set(err, LATHE_E_USAGE, "--needle: %s is a kept reference of a text: give a model",
                       o->ref);
    if (is_kept)
        TRY(open_kept(e, o, err));
    TRY(session_open(&e->s, o, err));
    if (is_kept)
        return check_kept(e, o, err);
    if (!o->ref)
        return 0;
    e->ref_options = reference_options(o);
    TRY(session_open(&e->ref, &e->ref_options, err));
    return same_vocab(lathe_model_vocab(e->s.model), e->s.info.n_vocab, e->s.info.name,
                      lathe_model_vocab(e->ref.model), e->ref.info.n_vocab, e->ref.info.name, err);
}

static int open_log(struct eval *e, const struct cli_options *o, struct lathe_err *err)
{
    if (!o->log_samples)
        return 0;
    if (!o->tasks.n && !o->needle.n)
        return err_set(err, LATHE_E_USAGE, "--log-samples: there are items with --tasks and --needle alone");
    e->log = fopen(o->log_samples, "w");
    return e->log ? 0 : err_set(err, LATHE_E_IO, "%s: %s", o->log_samples, strerror(errno));
}

static int close_log(struct eval *e, const struct cli_options *o, int rc, struct lathe_err *err)
{
    if (e->log && fclose(e->log) && !rc)
        rc = err_set(err, LATHE_E_IO, "%s: could not be written: is the disk full?", o->log_samples);
    e->log = NULL;
    return rc;
}

static int run_items(struct eval *e, const struct cli_options *o, struct lathe_err *err)
{
    struct session *ref = e->ref.model ? &e->ref : NULL;
    if (o->needle.n)
        TRY(eval_needle_run(&e->needle, &e->s, o, ref, &e->ref_options, e->log, err));
    if (o->tasks.n) {
        TRY(eval_tasks_run(&e->tasks, &e->s, o, ref, &e->ref_options, e->log, err));
        TRY(eval_asks_run(&e->asks, &e->s, o, ref, &e->ref_options, e->log, err));
    }
    return 0;
}

static int evaluate(struct eval *e, struct cli *c, json_t **json, struct lathe_err *err)
{
    double seconds = 0;
    TRY(open_models(e, &c->o, err));
    TRY(open_log(e, &c->o, err));
    struct session *ref = e->ref.model ? &e->ref : NULL;
    if (c->o.text_file && !c->o.needle.n) {
        TRY(read_text(e, &c->o, err));
        TRY(compare_text(e, &c->o, &seconds, err));
        draws_init(&e->draws, e->text.n_chunk);
    }
    TRY(run_items(e, &c->o, err));
    if (c->o.pairs)
        TRY(eval_pairs_run(&e->pairs, &e->s, &c->o, ref, &e->ref_options, err));
    struct eval_report report = {.cli = c,
                                 .options = &c->o,
                                 .model = &e->s.info,
                                 .reference = c->o.ref ? &e->ref.info : NULL,
                                 .kept = e->kept.file ? &e->kept.head : NULL,
                                 .keep_bytes = e->keeps ? e->keep.file.n_bytes : 0,
                                 .tasks = &e->tasks,
                                 .asks = &e->asks,
                                 .pairs = &e->pairs,
                                 .needle = &e->needle,
                                 .text = &e->text,
                                 .compare = &e->compare,
                                 .draws = &e->draws,
                                 .seconds = seconds};
    return eval_report(&report, json);
}

static int run_one(struct cli *c, json_t **json, struct lathe_err *err)
{
    struct eval *e = mem_new(sizeof *e);
    int rc = close_log(e, &c->o, evaluate(e, c, json, err), err);
    eval_tasks_free(&e->tasks);
    eval_asks_free(&e->asks);
    eval_pairs_free(&e->pairs);
    eval_needle_free(&e->needle);
    draws_free(&e->draws);
    compare_free(&e->compare);
    text_chunks_free(&e->text);
    ref_reader_close(&e->kept);
    session_close(&e->ref);
    session_close(&e->s);
    free(e);
    return rc;
}

/* The results of earlier runs are read first: a file that is none is found before anything is computed. */
int cmd_eval(struct cli *c, struct lathe_err *err)
{
    struct eval_results *results = mem_new(sizeof *results);
    bool measures = c->o.text_file || c->o.tasks.n || c->o.pairs || !c->operands.n;
    json_t *json = NULL;
    int rc = 0;
    if (c->operands.n && !c->o.html)
        rc = err_set(err, LATHE_E_USAGE, "results of earlier runs, such as %.200s, are for --html FILE",
                     c->operands.v[0]);
    for (int i = 0; !rc && i < c->operands.n; i++)
        rc = eval_results_read(results, c->operands.v[i], err);
    if (!rc && measures)
        rc = run_one(c, &json, err);
    if (!rc && json && c->o.html)
        rc = eval_results_add(results, "this run", json_incref(json), err);
    if (!rc && c->o.html)
        rc = eval_html_write(results, c->o.html, err);
    json_decref(json);
    eval_results_free(results);
    free(results);
    return rc;
}
