/* The shapes of answers in the APIs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/base64.h"
#include "base/json_text.h"
#include "server/answer.h"
#include "server/logprobs.h"

static json_t *usage(const struct answer *a)
{
    return json_pack("{si si si s{si}}", "prompt_tokens", a->n_prompt_token, "completion_tokens",
                     a->n_generated, "total_tokens", a->n_prompt_token + a->n_generated,
                     "prompt_tokens_details", "cached_tokens", a->n_cached);
}

json_t *answer_timings(const struct answer *a)
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

json_t *answer_error_object(const struct choice *c)
{
    return http_error_object((unsigned)lathe_code_http(c->code), c->text.p ? c->text.p : "", c->text.n, NULL,
                             refusal_code(c->code));
}

/* ---- streams ---- */

static void put_chunk(struct answer *a, json_t *object)
{
    char *text = http_json_text(object);
    buf_printf(&a->out, "data: %s\n\n", text ? text : "{}");
    free(text);
}

void answer_put_error(struct answer *a, const struct choice *c)
{
    put_chunk(a, answer_error_object(c));
}

/* The words of a chunk: of the first of a choice with `echo`, after the prompt's. */
static json_t *words(const struct answer *a, int i, const char *text, size_t n)
{
    if (!a->echo || a->choices[i].begun)
        return json_text(text, n);
    const struct exchange_prompt *p = &a->x->prompts[i / a->x->n_candidate];
    struct buf both;
    buf_init(&both, 1u << 30);
    buf_put(&both, p->text, p->n_text);
    buf_put(&both, text, n);
    json_t *s = json_text(both.p ? both.p : "", both.n);
    buf_free(&both);
    return s;
}

void answer_put_text(struct answer *a, int i, const char *text, size_t n)
{
    struct choice *c = &a->choices[i];
    json_t *chunk = head(a, ".chunk"), *choice = json_pack("{si}", "index", i);
    if (a->api == API_CHAT) {
        json_t *delta = json_object();
        if (!c->begun)
            json_object_set_new(delta, "role", json_string("assistant"));
        json_object_set_new(delta, "content", words(a, i, text, n));
        json_object_set_new(choice, "delta", delta);
    } else {
        json_object_set_new(choice, "text", words(a, i, text, n));
    }
    c->begun = true;
    json_object_set_new(choice, "logprobs", c->logprobs ? c->logprobs : json_null());
    c->logprobs = c->logprobs ? logprobs_new(a->api) : NULL;
    json_object_set_new(choice, "finish_reason", finish_reason(c));
    json_object_set_new(chunk, "choices", json_pack("[o]", choice));
    if (c->done)
        json_object_set_new(chunk, "timings", answer_timings(a));
    put_chunk(a, chunk);
}

void answer_put_end(struct answer *a)
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

/* ---- whole answers ---- */

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

json_t *answer_whole(const struct answer *a)
{
    json_t *body = head(a, ""), *choices = json_array();
    for (int i = 0; i < a->n_choice; i++)
        json_array_append_new(choices, whole_choice(a, i));
    json_object_set_new(body, "choices", choices);
    json_object_set_new(body, "usage", usage(a));
    json_object_set_new(body, "timings", answer_timings(a));
    return body;
}

/* ---- embeddings ---- */

static json_t *base64(const unsigned char *p, size_t n)
{
    struct buf out;
    buf_init(&out, 2 * n + 8);
    base64_encode(p, n, &out);
    json_t *s = json_stringn(out.p ? out.p : "", out.n);
    buf_free(&out);
    return s;
}

/* The choice's text is the floats, as they lie in memory: little-endian on every machine that lathe runs on. */
static json_t *embedding(const struct answer *a, const struct choice *c)
{
    if (a->base64)
        return base64((const unsigned char *)c->text.p, c->text.n);
    json_t *list = json_array();
    for (size_t i = 0; i + sizeof(float) <= c->text.n; i += sizeof(float)) {
        float x;
        memcpy(&x, c->text.p + i, sizeof x);
        json_array_append_new(list, json_real((double)x));
    }
    return list;
}

json_t *answer_embeddings(const struct answer *a)
{
    json_t *data = json_array();
    for (int i = 0; i < a->n_choice; i++)
        json_array_append_new(data, json_pack("{ss si so}", "object", "embedding", "index", i, "embedding",
                                              embedding(a, &a->choices[i])));
    return json_pack("{ss so ss s{si si} so}", "object", "list", "data", data, "model",
                     a->server->config->model_name, "usage", "prompt_tokens", a->n_prompt_token,
                     "total_tokens", a->n_prompt_token, "timings", answer_timings(a));
}
