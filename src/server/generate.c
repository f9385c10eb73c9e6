/* The endpoints that generate: an exchange for the engine, its events as one JSON object or as a stream of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "base/json_text.h"
#include "server/logprobs.h"

enum { OUT_LIMIT = 1 << 30, STREAM_BLOCK = 16 << 10 };

/* What has come of one choice. */
struct choice {
    struct buf text; /* not streamed */
    enum lathe_finish finish;
    int code; /* of an error */
    bool done, begun;
    json_t *logprobs; /* of the tokens that have not been sent; NULL if none are asked for */
    int offset;       /* characters of the tokens so far */
};

struct answer {
    enum api api;
    bool stream, include_usage, ended;
    struct server *server;
    struct exchange *x;
    struct choice *choices;
    int n_choice, n_done, n_prompt_token, n_cached, n_generated;
    struct lathe_timings timings; /* of the choice that took longest in each */
    char id[32];
    time_t created;
    char *ignored;
    struct buf events, out; /* out: streamed bytes that the client has not got yet, from at_out on */
    size_t at_out;
};

static void choice_free(struct choice *c)
{
    buf_free(&c->text);
    json_decref(c->logprobs);
}

void answer_free(struct answer *a)
{
    if (!a)
        return;
    if (a->n_done < a->n_choice) {
        exchange_hang_up(a->x);
        dispatch_cancel(a->server->dispatch, a->x);
    }
    a->server->n_answer--;
    for (int i = 0; i < a->n_choice; i++)
        choice_free(&a->choices[i]);
    exchange_unref(a->x);
    buf_free(&a->events);
    buf_free(&a->out);
    free(a->choices);
    free(a->ignored);
    free(a);
}

void answer_account(const struct answer *a, struct account *out)
{
    *out = (struct account){.id = a->id,
                            .n_prompt_token = a->n_prompt_token,
                            .n_cached = a->n_cached,
                            .n_generated = a->n_generated,
                            .queue_ms = a->timings.queue_ms,
                            .ttft_ms = a->timings.queue_ms + a->timings.prefill_ms};
}

static struct answer *answer_new(struct call *c, enum api api, struct asked *asked)
{
    struct answer *a = mem_new(sizeof *a);
    unsigned char random[8] = {0};
    *a = (struct answer){.api = api,
                         .stream = asked->stream,
                         .include_usage = asked->include_usage,
                         .server = c->server,
                         .x = exchange_ref(asked->x),
                         .n_choice = exchange_n_choice(asked->x),
                         .created = time(NULL),
                         .ignored = mem_dup(asked->ignored.p ? asked->ignored.p : "", asked->ignored.n)};
    a->choices = mem_new((size_t)a->n_choice * sizeof *a->choices);
    for (int i = 0; i < a->n_choice; i++) {
        buf_init(&a->choices[i].text, OUT_LIMIT);
        if (a->x->request.n_logprob >= 0)
            a->choices[i].logprobs = logprobs_new(api);
    }
    for (int i = 0; i < a->x->n_prompt; i++)
        a->n_prompt_token += (int)a->x->prompts[i].n_ids;
    c->server->n_answer++;
    buf_init(&a->events, OUT_LIMIT);
    buf_init(&a->out, OUT_LIMIT);
    if (getrandom(random, sizeof random, 0) < 0) /* an id need not be secret */
        memcpy(random, &a, sizeof random);
    int n = snprintf(a->id, sizeof a->id, "%s-", api == API_CHAT ? "chatcmpl" : "cmpl");
    for (size_t i = 0; i < sizeof random; i++)
        n += snprintf(a->id + n, sizeof a->id - (size_t)n, "%02x", random[i]);
    return a;
}

/* ---- JSON ---- */

static json_t *usage(const struct answer *a)
{
    return json_pack("{si si si s{si}}", "prompt_tokens", a->n_prompt_token, "completion_tokens",
                     a->n_generated, "total_tokens", a->n_prompt_token + a->n_generated,
                     "prompt_tokens_details", "cached_tokens", a->n_cached);
}

static json_t *timings(const struct answer *a)
{
    return json_pack("{sf sf sf si}", "queue_ms", a->timings.queue_ms, "prefill_ms", a->timings.prefill_ms,
                     "decode_ms", a->timings.decode_ms, "cached_tokens", a->n_cached);
}

static json_t *head(const struct answer *a, const char *suffix)
{
    char object[40];
    snprintf(object, sizeof object, "%s%s", a->api == API_CHAT ? "chat.completion" : "text_completion",
             a->api == API_CHAT ? suffix : "");
    return json_pack("{ss ss sI ss}", "id", a->id, "object", object, "created", (json_int_t)a->created,
                     "model", a->server->config->model_name);
}

/* NULL while the choice goes on. */
static json_t *finish_reason(const struct choice *c)
{
    if (!c->done)
        return json_null();
    return json_string(c->finish == LATHE_FINISH_LENGTH ? "length" : "stop");
}

static json_t *error_of(const struct choice *c)
{
    return http_error_object((unsigned)lathe_code_http(c->code), c->text.p ? c->text.p : "", c->text.n, NULL,
                             NULL);
}

/* ---- streams ---- */

static void put_chunk(struct answer *a, json_t *object)
{
    char *text = http_json_text(object);
    buf_printf(&a->out, "data: %s\n\n", text ? text : "{}");
    free(text);
}

/* A chunk with new text of a choice, and its end if it is done. */
static void put_text(struct answer *a, int i, const char *text, size_t n)
{
    struct choice *c = &a->choices[i];
    json_t *chunk = head(a, ".chunk"), *choice = json_pack("{si}", "index", i), *words = json_text(text, n);
    if (a->api == API_CHAT) {
        json_t *delta = json_object();
        if (!c->begun)
            json_object_set_new(delta, "role", json_string("assistant"));
        json_object_set_new(delta, "content", words);
        json_object_set_new(choice, "delta", delta);
    } else {
        json_object_set_new(choice, "text", words);
    }
    c->begun = true;
    json_object_set_new(choice, "logprobs", c->logprobs ? c->logprobs : json_null());
    c->logprobs = c->logprobs ? logprobs_new(a->api) : NULL;
    json_object_set_new(choice, "finish_reason", finish_reason(c));
    json_object_set_new(chunk, "choices", json_pack("[o]", choice));
    if (c->done)
        json_object_set_new(chunk, "timings", timings(a));
    put_chunk(a, chunk);
}

static void end_stream(struct answer *a)
{
    if (a->include_usage) {
        json_t *chunk = head(a, ".chunk");
        json_object_set_new(chunk, "choices", json_array());
        json_object_set_new(chunk, "usage", usage(a));
        put_chunk(a, chunk);
    }
    buf_puts(&a->out, "data: [DONE]\n\n");
    a->ended = true;
}

/* ---- events ---- */

static double larger(double x, double y)
{
    return x > y ? x : y;
}

static void take_end(struct answer *a, struct choice *c, const struct exchange_event *e)
{
    c->done = true;
    c->finish = e->finish;
    c->code = e->code;
    a->n_done++;
    a->n_generated += e->timings.n_generated;
    a->n_cached += e->timings.n_cached;
    a->timings.queue_ms = larger(a->timings.queue_ms, e->timings.queue_ms);
    a->timings.prefill_ms = larger(a->timings.prefill_ms, e->timings.prefill_ms);
    a->timings.decode_ms = larger(a->timings.decode_ms, e->timings.decode_ms);
}

/* The token that ends an answer is not part of it. */
static bool ends_answer(const struct answer *a, const struct exchange_event *e)
{
    return !a->x->request.ignore_eos &&
           lathe_vocab_is_eog(lathe_model_vocab(a->server->config->model), e->token);
}

static void take_event(struct answer *a, const struct exchange_event *e, const struct lathe_logprob *top,
                       const char *text)
{
    struct choice *c = &a->choices[e->choice];
    bool lists = e->kind == LATHE_EVENT_TOKEN && c->logprobs && !ends_answer(a, e);
    if (e->kind == LATHE_EVENT_DONE)
        take_end(a, c, e);
    if (lists)
        logprobs_add(c->logprobs, a->api, lathe_model_vocab(a->server->config->model), e, top, &c->offset);
    if (e->code)
        buf_clear(&c->text);
    if (!a->stream || e->code)
        buf_put(&c->text, text, e->n_text);
    if (a->stream && e->code)
        put_chunk(a, error_of(c));
    else if (a->stream && (e->n_text || lists || c->done))
        put_text(a, e->choice, text, e->n_text);
}

/* Takes what there is. */
static enum exchange_take take_events(struct answer *a)
{
    const struct exchange_event *e;
    const struct lathe_logprob *top;
    const char *text;
    size_t at = 0;
    enum exchange_take what = exchange_take(a->x, &a->events);
    while (what == EXCHANGE_EVENTS && (e = exchange_next(&a->events, &at, &top, &text)))
        take_event(a, e, top, text);
    return what;
}

/* ---- answers ---- */

static ssize_t read_stream(void *user, uint64_t position, char *to, size_t n)
{
    struct answer *a = user;
    while (a->at_out == a->out.n) {
        buf_clear(&a->out);
        a->at_out = 0;
        if (a->ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (a->n_done == a->n_choice) {
            end_stream(a);
            continue;
        }
        enum exchange_take what = take_events(a);
        if (what != EXCHANGE_EVENTS)
            return what == EXCHANGE_WAIT ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t left = a->out.n - a->at_out;
    n = n < left ? n : left;
    memcpy(to, a->out.p + a->at_out, n);
    a->at_out += n;
    return (ssize_t)n;
}

static enum MHD_Result begin_stream(struct call *c, struct answer *a)
{
    struct MHD_Response *r =
        mhd.create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, a, NULL);
    if (!r)
        return MHD_NO;
    mhd.add_response_header(r, "Content-Type", "text/event-stream");
    mhd.add_response_header(r, "Cache-Control", "no-cache");
    mhd.add_response_header(r, "X-Accel-Buffering", "no");
    http_add_ignored(r, a->ignored);
    enum MHD_Result done = http_queue(c, 200, r);
    mhd.destroy_response(r);
    return done;
}

static json_t *whole_choice(const struct answer *a, int i)
{
    const struct choice *c = &a->choices[i];
    json_t *text = json_text(c->text.p ? c->text.p : "", c->text.n), *choice = json_pack("{si}", "index", i);
    if (a->api == API_CHAT)
        json_object_set_new(choice, "message", json_pack("{ss so}", "role", "assistant", "content", text));
    else
        json_object_set_new(choice, "text", text);
    json_object_set_new(choice, "logprobs", c->logprobs ? json_incref(c->logprobs) : json_null());
    json_object_set_new(choice, "finish_reason", finish_reason(c));
    return choice;
}

static enum MHD_Result reply_whole(struct call *c, const struct answer *a)
{
    for (int i = 0; i < a->n_choice; i++)
        if (a->choices[i].code)
            return http_reply(c, (unsigned)lathe_code_http(a->choices[i].code), error_of(&a->choices[i]),
                              NULL);
    json_t *body = head(a, ""), *choices = json_array();
    for (int i = 0; i < a->n_choice; i++)
        json_array_append_new(choices, whole_choice(a, i));
    json_object_set_new(body, "choices", choices);
    json_object_set_new(body, "usage", usage(a));
    json_object_set_new(body, "timings", timings(a));
    return http_reply(c, 200, body, a->ignored);
}

static enum MHD_Result generate(struct call *c, enum api api)
{
    struct asked asked;
    struct refusal no = {0};
    if (!c->answer) {
        bool ok = ask_read(c, api, &asked, &no);
        if (ok && c->key) /* shares of tokens and cached prefixes are each client's own */
            asked.x->request.tenant = asked.x->request.salt = c->key->tenant;
        if (ok)
            c->answer = answer_new(c, api, &asked);
        ask_free(&asked);
        if (!ok)
            return http_error(c, no.status, no.param[0] ? no.param : NULL, no.code, "%s", no.text);
        dispatch_submit(c->server->dispatch, c->answer->x);
        if (c->answer->stream)
            return begin_stream(c, c->answer);
    }
    while (c->answer->n_done < c->answer->n_choice) {
        enum exchange_take what = take_events(c->answer);
        if (what != EXCHANGE_EVENTS) /* comes back when the connection is resumed, or is closed */
            return what == EXCHANGE_WAIT ? MHD_YES : MHD_NO;
    }
    return reply_whole(c, c->answer);
}

enum MHD_Result endpoint_chat(struct call *c)
{
    return generate(c, API_CHAT);
}

enum MHD_Result endpoint_completions(struct call *c)
{
    return generate(c, API_TEXT);
}
