/* lathe run: answers one prompt, streaming. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/clock.h"
#include "cli/conversation.h"
#include "cli/input.h"
#include "cli/json.h"
#include "cli/say.h"
#include "measure/machine.h"

#define TEXT_LIMIT ((size_t)256 << 20)

enum stats { STATS_AUTO, STATS_ON, STATS_OFF, STATS_LIMITS };

/* What an answer leaves behind. */
struct answer {
    const struct cli_options *o;
    const lathe_vocab *vocab;
    FILE *dump;
    bool quiet; /* --json: nothing on stdout while it streams */
    struct buf text;
    json_t *tokens;        /* with --json */
    double first_s, end_s; /* when the first token was there, and the last */
    enum lathe_finish finish;
    struct lathe_timings timings;
};

static void on_logits(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    struct answer *a = user;
    fprintf(a->dump, "%d %016" PRIx64 "\n", position,
            (uint64_t)XXH3_64bits(logits, (size_t)n_vocab * sizeof *logits));
}

static json_t *logprob_json(const struct answer *a, int32_t token, float logprob)
{
    size_t n;
    const char *text = lathe_token_text(a->vocab, token, true, &n);
    return json_pack("{si so sf}", "id", token, "text", json_text(text, n), "logprob", (double)logprob);
}

static void keep_token(struct answer *a, const struct lathe_event *e)
{
    if (a->o->n_logprob < 0) {
        json_array_append_new(a->tokens, json_integer(e->token));
        return;
    }
    json_t *token = logprob_json(a, e->token, e->logprob), *top = json_array();
    for (int i = 0; i < e->n_top; i++)
        json_array_append_new(top, logprob_json(a, e->top[i].token, e->top[i].logprob));
    json_object_set_new(token, "top", top);
    json_array_append_new(a->tokens, token);
}

static void print_logprobs(const struct answer *a, const struct lathe_event *e)
{
    fprintf(stderr, "%d %.6f", e->token, (double)e->logprob);
    for (int i = 0; i < e->n_top; i++)
        fprintf(stderr, " %d:%.6f", e->top[i].token, (double)e->top[i].logprob);
    fputc('\n', stderr);
}

static void on_event(void *user, const struct lathe_event *e)
{
    struct answer *a = user;
    if (e->kind == LATHE_EVENT_TOKEN) {
        a->end_s = clock_s();
        if (!a->first_s)
            a->first_s = a->end_s;
        if (a->quiet)
            keep_token(a, e);
        else if (a->o->n_logprob >= 0)
            print_logprobs(a, e);
    } else {
        a->finish = e->finish;
        a->timings = e->timings;
    }
    if (a->quiet) {
        buf_put(&a->text, e->text, e->n_text);
    } else if (e->n_text) {
        fwrite(e->text, 1, e->n_text, stdout);
        fflush(stdout);
    }
}

/* The prompt's bytes: -p or stdin, through the chat template unless --raw. */
static int prompt_ids(struct session *s, const struct cli_options *o, int32_t **ids, size_t *n_ids,
                      struct lathe_err *err)
{
    struct buf text;
    struct conversation chat = {0};
    char *rendered = NULL;
    size_t n = 0;
    int rc;
    buf_init(&text, TEXT_LIMIT);
    if (!o->prompt && isatty(STDIN_FILENO))
        fprintf(stderr, "lathe: the prompt is read from this terminal until Ctrl-D\n");
    if (o->prompt)
        rc = buf_puts(&text, o->prompt);
    else
        TRY_GOTO(input_read("-", &text, err));
    if (!o->raw && !s->info.chat_template)
        fprintf(stderr, "lathe: the model has no chat template: the prompt is continued as it is\n");
    if (o->raw || !s->info.chat_template) {
        rc = session_tokenize(s, text.p ? text.p : "", text.n, false, o->parse_special, ids, n_ids, err);
        goto done;
    }
    if (!o->prompt && text.n && text.p[text.n - 1] == '\n')
        text.n--; /* the newline that ends a line of input is no part of a message */
    conversation_init(&chat, o->system);
    conversation_add(&chat, "user", text.p ? text.p : "", text.n);
    TRY_GOTO(conversation_render(&chat, s, &rendered, &n, err));
    rc = session_tokenize(s, rendered, n, true, true, ids, n_ids, err);
done:
    free(rendered);
    conversation_free(&chat);
    buf_free(&text);
    return rc;
}

static double rate_of(const struct answer *a)
{
    int n = a->timings.n_generated - 1;
    return n > 0 && a->end_s > a->first_s ? n / (a->end_s - a->first_s) : 0;
}

static int print_json(struct answer *a, const struct session *s)
{
    static const char *const finish[] = {"", "stop", "length", "error", "cancelled"};
    const struct lathe_timings *t = &a->timings;
    json_t *object =
        json_pack("{so ss so si si si sf sf sf sf sf}", "text",
                  json_text(a->text.p ? a->text.p : "", a->text.n), "finish", finish[a->finish], "tokens",
                  a->tokens, "n_prompt", t->n_prompt, "n_cached", t->n_cached, "n_generated", t->n_generated,
                  "load_ms", s->info.load_ms, "ttft_ms", a->first_s ? (a->first_s - s->start_s) * 1e3 : 0.0,
                  "prefill_ms", t->prefill_ms, "decode_ms", t->decode_ms, "decode_tok_s", rate_of(a));
    a->tokens = NULL;
    return json_print(object);
}

static void print_stats(const struct answer *a, const struct session *s)
{
    const struct lathe_timings *t = &a->timings;
    if (!a->first_s)
        return;
    double prefill = t->prefill_ms > 0 ? t->n_prompt / t->prefill_ms * 1e3 : 0;
    fprintf(stderr,
            "\ntime to first token %.0f ms (load %.0f ms%s), prompt %d tokens at %.1f tokens/s, answer %d "
            "tokens at %.1f tokens/s\n",
            (a->first_s - s->start_s) * 1e3, s->info.load_ms,
            s->info.layout_cached ? "" : ", weights laid out for the first time", t->n_prompt, prefill,
            t->n_generated, rate_of(a));
    if (a->o->stats != STATS_LIMITS || rate_of(a) <= 0)
        return;
    struct lathe_engine_plan plan;
    struct machine_rates r = {0};
    lathe_engine_get_plan(s->engine, &plan);
    machine_measure(1u << MACHINE_READ, plan.n_thread, MACHINE_ROUNDS, &r);
    double limit = r.read_gb_s * 1e9 / (double)s->info.weight_bytes;
    fprintf(stderr,
            "this machine reads %.1f GB/s: at most %.0f tokens/s for this model's %.0f MB of weights; %.0f "
            "%% of it reached\n",
            r.read_gb_s, limit, (double)s->info.weight_bytes * 1e-6, 100 * rate_of(a) / limit);
}

static int answer_prompt(struct session *s, struct cli *c, struct answer *a, struct lathe_err *err)
{
    int32_t *ids = NULL;
    struct lathe_request r;
    int rc;
    TRY_GOTO(session_request(s, &c->o, &r, err));
    TRY_GOTO(prompt_ids(s, &c->o, &ids, &r.n_ids, err));
    if (r.n_ids == 0) {
        rc = err_set(err, LATHE_E_USAGE, "the prompt is empty: give one with -p TEXT or on stdin");
        goto done;
    }
    r.ids = ids;
    if (a->dump) {
        r.on_logits = on_logits;
        r.user = a;
        r.logits_from = 0;
    } else {
        r.logits_from = (int)r.n_ids - 1;
    }
    int n_need = c->o.n_predict >= 0 && r.n_ids < 1u << 24 ? (int)r.n_ids + c->o.n_predict + 1 : 0;
    TRY_GOTO(session_engine(s, &c->o, 1, n_need, cli_given(c, "chunk") ? 0 : SESSION_SLOWER, err));
    a->vocab = lathe_model_vocab(s->model);
    rc = session_answer(s, &r, on_event, a, NULL, err);
done:
    free(ids);
    return rc;
}

int cmd_run(struct cli *c, struct lathe_err *err)
{
    struct session s = {0};
    struct answer a = {.o = &c->o, .quiet = c->o.json, .tokens = json_array()};
    int rc;
    buf_init(&a.text, TEXT_LIMIT);
    TRY_GOTO(session_open(&s, &c->o, err));
    TRY_GOTO(session_need_generator(&s, err));
    if (c->o.dump_logits && !(a.dump = fopen(c->o.dump_logits, "w"))) {
        rc = err_set(err, LATHE_E_IO, "%s: %s", c->o.dump_logits, strerror(errno));
        goto done;
    }
    rc = answer_prompt(&s, c, &a, err);
    bool show =
        c->o.stats == STATS_AUTO ? isatty(STDOUT_FILENO) && isatty(STDERR_FILENO) : c->o.stats != STATS_OFF;
    if (!rc && c->o.json)
        print_json(&a, &s);
    else if (a.first_s && show)
        print_stats(&a, &s);
    else if (a.first_s && isatty(STDOUT_FILENO))
        putchar('\n');
    if (a.dump && fclose(a.dump) && !rc)
        rc = err_set(err, LATHE_E_IO, "%s: %s", c->o.dump_logits, strerror(errno));
done:
    json_decref(a.tokens);
    buf_free(&a.text);
    session_close(&s);
    return rc;
}
