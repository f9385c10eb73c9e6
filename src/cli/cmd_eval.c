/* lathe eval: a model beside a reference, on a text.
 *
 * The options of models and engines are the candidate's; the reference runs with the defaults, so that what an option costs can
 * be measured with the same file on both sides. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "cli/eval_report.h"
#include "cli/input.h"
#include "measure/eval_run.h"

enum { CHUNK = 512, LEAST_CHUNK = 4, ROWS_AT_ONCE = 64 };
#define TOKENS_ENOUGH 100000 /* quantiles of 99.9 % then rest on a hundred positions */

struct eval {
    struct session s, ref;
    struct cli_options ref_options;
    struct text_chunks text;
    struct compare compare;
    struct draws draws;
};

static struct cli_options reference_options(const struct cli_options *o)
{
    struct cli_options r = *o;
    r.model = o->ref;
    r.exact = o->ref_exact;
    r.load_as = r.precision = r.kv_type = 0;
    r.fusion = 1;
    return r;
}

static int name_token(const lathe_vocab *v, int id, char *out, size_t n)
{
    size_t n_text = 0;
    const char *text = lathe_token_text(v, id, true, &n_text);
    return snprintf(out, n, "%.*s", (int)(n_text < 40 ? n_text : 40), text ? text : "");
}

/* A divergence needs the same tokens on both sides; a vocabulary of another size or text is another tokenizer. */
static int compare_vocabularies(const struct eval *e, struct lathe_err *err)
{
    const lathe_vocab *a = lathe_model_vocab(e->s.model), *b = lathe_model_vocab(e->ref.model);
    const char *name = e->s.info.name, *ref_name = e->ref.info.name;
    if (e->s.info.n_vocab != e->ref.info.n_vocab)
        return err_set(err, LATHE_E_USAGE,
                       "the reference has another vocabulary: %d tokens in %.100s, %d in %.100s; compare "
                       "models of one tokenizer",
                       e->ref.info.n_vocab, ref_name, e->s.info.n_vocab, name);
    for (int i = 0; i < e->s.info.n_vocab; i++) {
        size_t n_a = 0, n_b = 0;
        const char *text_a = lathe_token_text(a, i, true, &n_a), *text_b = lathe_token_text(b, i, true, &n_b);
        if (n_a == n_b && (!n_a || memcmp(text_a, text_b, n_a) == 0))
            continue;
        char say_a[48], say_b[48];
        name_token(a, i, say_a, sizeof say_a);
        name_token(b, i, say_b, sizeof say_b);
        return err_set(err, LATHE_E_USAGE,
                       "the reference has another tokenizer: token %d is '%s' in %.100s, '%s' in %.100s; "
                       "compare models of one tokenizer",
                       i, say_b, ref_name, say_a, name);
    }
    return 0;
}

static int choose_context(const struct eval *e, const struct cli_options *o, int *out, struct lathe_err *err)
{
    int most = e->s.info.n_ctx_train;
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
    struct lathe_engine_options eo = session_engine_options(s, o, ROWS_AT_ONCE, n_ctx);
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
                           .n_vocab = e->s.info.n_vocab,
                           .n_row = n_row,
                           .n_thread = plan.n_thread,
                           .ids = t->ids,
                           .n_chunk = t->n_chunk,
                           .chunk_tokens = t->chunk_tokens,
                           .bos = t->bos,
                           .progress = show_progress,
                           .user = &e->s.bar};
    double start = clock_s();
    int rc = eval_run(&run, &e->compare, err);
    *seconds = clock_s() - start;
    progress_end(&e->s.bar);
    return rc;
}

static int open_models(struct eval *e, const struct cli_options *o, struct lathe_err *err)
{
    if (!o->text_file)
        return err_set(err, LATHE_E_USAGE, "no text: give the file to score with -f FILE");
    TRY(input_check(o->text_file, err));
    TRY(session_open(&e->s, o, err));
    if (!o->ref)
        return 0;
    e->ref_options = reference_options(o);
    TRY(session_open(&e->ref, &e->ref_options, err));
    return compare_vocabularies(e, err);
}

int cmd_eval(struct cli *c, struct lathe_err *err)
{
    struct eval *e = mem_new(sizeof *e);
    double seconds = 0;
    int rc;
    TRY_GOTO(open_models(e, &c->o, err));
    TRY_GOTO(read_text(e, &c->o, err));
    TRY_GOTO(compare_text(e, &c->o, &seconds, err));
    draws_init(&e->draws, e->text.n_chunk);
    struct eval_report report = {.options = &c->o,
                                 .model = &e->s.info,
                                 .reference = e->ref.model ? &e->ref.info : NULL,
                                 .text = &e->text,
                                 .compare = &e->compare,
                                 .draws = &e->draws,
                                 .seconds = seconds};
    rc = eval_report(&report);
done:
    draws_free(&e->draws);
    compare_free(&e->compare);
    text_chunks_free(&e->text);
    session_close(&e->ref);
    session_close(&e->s);
    free(e);
    return rc;
}
