/* Log probabilities of tokens in the shapes of the two APIs.
 *
 *     chat    content: [{token, logprob, bytes, top_logprobs: [{token, logprob, bytes}]}]
 *     text    tokens, token_logprobs, top_logprobs: [{token: logprob}], text_offset */
#include "server/logprobs.h"
#include <math.h>
#include "base/json_text.h"

json_t *logprobs_new(enum api api)
{
    if (api == API_CHAT)
        return json_pack("{s[] sn}", "content", "refusal");
    return json_pack("{s[] s[] s[] s[]}", "tokens", "token_logprobs", "top_logprobs", "text_offset");
}

static json_t *spelling(const lathe_vocab *v, int32_t token)
{
    size_t n;
    const char *text = lathe_token_text(v, token, true, &n);
    return json_text(text, n);
}

static json_t *chat_entry(const lathe_vocab *v, int32_t token, float logprob)
{
    size_t n;
    const char *text = lathe_token_text(v, token, true, &n);
    json_t *bytes = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(bytes, json_integer((unsigned char)text[i]));
    return json_pack("{so sf so}", "token", json_text(text, n), "logprob", (double)logprob, "bytes", bytes);
}

static void add_chat(json_t *to, const lathe_vocab *v, const struct exchange_event *e,
                     const struct lathe_logprob *top)
{
    json_t *entry = chat_entry(v, e->token, e->logprob), *others = json_array();
    for (int i = 0; i < e->n_top; i++)
        json_array_append_new(others, chat_entry(v, top[i].token, top[i].logprob));
    json_object_set_new(entry, "top_logprobs", others);
    json_array_append_new(json_object_get(to, "content"), entry);
}

static int n_character(const json_t *text)
{
    const char *p = json_string_value(text);
    int n = 0;
    for (size_t i = 0; i < json_string_length(text); i++)
        n += (p[i] & 0xc0) != 0x80;
    return n;
}

/* Alternatives by their spelling. Two tokens may read the same: the better one stays. The token itself is always among them. */
static json_t *others_of(const lathe_vocab *v, const struct exchange_event *e,
                         const struct lathe_logprob *top)
{
    json_t *others = json_object();
    for (int i = 0; i <= e->n_top; i++) {
        json_t *name = spelling(v, i < e->n_top ? top[i].token : e->token);
        double p = (double)(i < e->n_top ? top[i].logprob : e->logprob);
        if (!json_object_getn(others, json_string_value(name), json_string_length(name)))
            json_object_setn_new(others, json_string_value(name), json_string_length(name), json_real(p));
        json_decref(name);
    }
    return others;
}

/* Nothing predicts the first token of a prompt: both its entries are null. */
static void add_text(json_t *to, const lathe_vocab *v, const struct exchange_event *e,
                     const struct lathe_logprob *top, int *offset)
{
    json_t *token = spelling(v, e->token);
    bool known = !isnan(e->logprob);
    json_array_append_new(json_object_get(to, "text_offset"), json_integer(*offset));
    *offset += n_character(token);
    json_array_append_new(json_object_get(to, "tokens"), token);
    json_array_append_new(json_object_get(to, "token_logprobs"),
                          known ? json_real((double)e->logprob) : json_null());
    json_array_append_new(json_object_get(to, "top_logprobs"), known ? others_of(v, e, top) : json_null());
}

void logprobs_add(json_t *to, enum api api, const lathe_vocab *v, const struct exchange_event *e,
                  const struct lathe_logprob *top, int *offset)
{
    if (api == API_CHAT)
        add_chat(to, v, e, top);
    else
        add_text(to, v, e, top, offset);
}
