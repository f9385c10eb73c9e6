/* Prompts of every shape: a conversation, texts, token ids. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "server/ask_own.h"

static const lathe_vocab *vocab_of(const struct call *c)
{
    return lathe_model_vocab(c->server->config->model);
}

static struct exchange_prompt *add_prompt(struct asked *a)
{
    return &a->x->prompts[a->x->n_prompt++];
}

/* The text of a message's content: a string, nothing, or a list of text parts. */
static bool content_text(const json_t *v, size_t message, struct buf *out, struct refusal *no)
{
    size_t i;
    json_t *part;
    char where[64];
    if (!v || json_is_null(v))
        return true;
    if (json_is_string(v)) {
        buf_put(out, json_string_value(v), json_string_length(v));
        return true;
    }
    snprintf(where, sizeof where, "messages[%zu].content", message);
    if (!json_is_array(v))
        return refuse(no, 400, where, NULL, "%s must be a string or a list of parts", where);
    json_array_foreach((json_t *)v, i, part)
    {
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *text = json_object_get(part, "text");
        if (!type || strcmp(type, "text") != 0)
            return refuse(no, 400, where, "unsupported_field",
                          "%s[%zu]: a part of type %.60s is not provided by this server", where, i,
                          type ? type : "(none)");
        if (!json_is_string(text))
            return refuse(no, 400, where, NULL, "%s[%zu].text must be a string", where, i);
        buf_put(out, json_string_value(text), json_string_length(text));
    }
    return true;
}

/* The messages as templates take them: every content a string. */
static bool plain_messages(const json_t *messages, json_t *out, struct refusal *no)
{
    size_t i;
    json_t *m;
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return refuse(no, 400, "messages", NULL, "messages must be a list of at least one message");
    json_array_foreach((json_t *)messages, i, m)
    {
        struct buf text;
        if (!json_is_string(json_object_get(m, "role")))
            return refuse(no, 400, "messages", NULL, "messages[%zu] must be an object with a role", i);
        buf_init(&text, 1u << 28);
        bool ok = content_text(json_object_get(m, "content"), i, &text, no);
        if (ok) {
            json_t *copy = json_copy(m);
            json_object_set_new(copy, "content", json_stringn_nocheck(text.p ? text.p : "", text.n));
            json_array_append_new(out, copy);
        }
        buf_free(&text);
        if (!ok)
            return false;
    }
    return true;
}

bool own_render(const struct call *c, const struct asked *a, const json_t *messages, char **text, size_t *n,
                struct refusal *no)
{
    struct lathe_err err;
    json_t *plain = json_array();
    bool ok = plain_messages(messages, plain, no);
    json_t *vars = json_pack("{so sb}", "messages", plain, "add_generation_prompt", a->generation_prompt);
    if (a->effort)
        json_object_set_new(vars, "reasoning_effort", json_string(a->effort));
    if (a->template_vars)
        json_object_update(vars, (json_t *)a->template_vars);
    char *json = ok ? json_dumps(vars, JSON_PRESERVE_ORDER) : NULL;
    json_decref(vars);
    if (ok && lathe_chat_render(c->server->config->model, json, strlen(json), NULL, text, n, &err))
        ok = refuse_err(no, "messages", &err);
    free(json);
    return ok;
}

bool own_messages(const struct call *c, struct asked *a, const json_t *messages, struct refusal *no)
{
    struct lathe_err err;
    char *text = NULL;
    size_t n;
    bool ok = own_render(c, a, messages, &text, &n, no);
    struct exchange_prompt *p = add_prompt(a);
    if (ok && lathe_chat_cache_tokenize(c->server->chats, c->key ? c->key->tenant : 0, text, n, &p->ids,
                                        &p->n_ids, NULL, &err))
        ok = refuse_err(no, "messages", &err);
    free(text);
    return ok;
}

/* What an answer with `echo` begins with. */
static void keep_text(const struct call *c, struct exchange_prompt *p, const json_t *v)
{
    struct buf text;
    buf_init(&text, 1u << 30);
    if (v)
        buf_put(&text, json_string_value(v), json_string_length(v));
    for (size_t i = 0; !v && i < p->n_ids; i++) {
        size_t n;
        const char *piece = lathe_token_text(vocab_of(c), p->ids[i], true, &n);
        buf_put(&text, piece, n);
    }
    p->text = buf_take(&text, &p->n_text);
}

bool own_ids(const struct call *c, struct asked *a, const char *param, const json_t *v, struct refusal *no)
{
    struct exchange_prompt *p = add_prompt(a);
    int n_vocab = lathe_vocab_size(vocab_of(c));
    size_t i;
    json_t *id;
    p->ids = mem_new((json_array_size(v) + 1) * sizeof *p->ids);
    json_array_foreach((json_t *)v, i, id)
    {
        int64_t k;
        if (!ask_whole(id, 0, n_vocab - 1, &k))
            return refuse(no, 400, param, NULL, "%s: token ids must be whole numbers from 0 to %d", param,
                          n_vocab - 1);
        p->ids[p->n_ids++] = (int32_t)k;
    }
    if (a->truncate && p->n_ids > (size_t)c->server->plan.n_ctx)
        p->n_ids = (size_t)c->server->plan.n_ctx;
    if (a->echo)
        keep_text(c, p, NULL);
    return true;
}

bool own_text(const struct call *c, struct asked *a, const char *param, const json_t *v, bool special,
              struct refusal *no)
{
    struct exchange_prompt *p = add_prompt(a);
    struct lathe_err err;
    int flags = (a->add_special ? LATHE_TOK_BOS : 0) | (special ? LATHE_TOK_SPECIAL : 0);
    if (!json_is_string(v))
        return refuse(no, 400, param, NULL, "%s must be a string", param);
    int rc = a->truncate
                 ? lathe_tokenize_pair(vocab_of(c), json_string_value(v), json_string_length(v), NULL, 0,
                                       c->server->plan.n_ctx, &p->ids, &p->n_ids, &p->second_at, &err)
                 : lathe_tokenize(vocab_of(c), json_string_value(v), json_string_length(v), flags, &p->ids,
                                  &p->n_ids, &err);
    if (rc)
        return refuse_err(no, param, &err);
    if (a->echo)
        keep_text(c, p, v);
    return true;
}

/* A string, a list of strings, a list of ids, or a list of lists of ids. */
bool own_prompt(const struct call *c, struct asked *a, const char *param, const json_t *v, struct refusal *no)
{
    size_t i;
    json_t *one;
    if (json_is_string(v))
        return own_text(c, a, param, v, false, no);
    if (json_is_array(v) && json_is_number(json_array_get(v, 0)))
        return own_ids(c, a, param, v, no);
    if (!json_is_array(v) || json_array_size(v) == 0)
        return refuse(no, 400, param, NULL, "%s must be a string, a list of strings, or token ids", param);
    if (json_array_size(v) > EXCHANGE_MAX_PROMPT)
        return refuse(no, 400, param, NULL, "%s has more than %d parts", param, EXCHANGE_MAX_PROMPT);
    json_array_foreach((json_t *)v, i, one)
    {
        bool ok = json_is_string(one) ? own_text(c, a, param, one, false, no)
                  : json_is_array(one)
                      ? own_ids(c, a, param, one, no)
                      : refuse(no, 400, param, NULL, "%s[%zu] must be a string or token ids", param, i);
        if (!ok)
            return false;
    }
    return true;
}

static bool own_document(const struct call *c, struct asked *a, const json_t *query, const json_t *v,
                         size_t i, struct refusal *no)
{
    const json_t *text = json_is_object(v) ? json_object_get(v, "text") : v;
    struct exchange_prompt *p = add_prompt(a);
    struct lathe_err err;
    if (!json_is_string(text))
        return refuse(no, 400, "documents", NULL, "documents[%zu] must be a string, or an object with a text",
                      i);
    if (lathe_tokenize_pair(vocab_of(c), json_string_value(query), json_string_length(query),
                            json_string_value(text), json_string_length(text),
                            a->truncate ? c->server->plan.n_ctx : 0, &p->ids, &p->n_ids, &p->second_at, &err))
        return refuse_err(no, "documents", &err);
    if (a->return_documents)
        keep_text(c, p, text);
    return true;
}

bool own_documents(const struct call *c, struct asked *a, const json_t *query, const json_t *v,
                   struct refusal *no)
{
    size_t i;
    json_t *one;
    if (!json_is_string(query))
        return refuse(no, 400, "query", NULL,
                      query && !json_is_null(query) ? "query must be a string" : "query is missing");
    if (!json_is_array(v) || json_array_size(v) == 0)
        return refuse(no, 400, "documents", NULL, "documents must be a list of at least one text");
    if (json_array_size(v) > EXCHANGE_MAX_PROMPT)
        return refuse(no, 400, "documents", NULL, "documents has more than %d texts", EXCHANGE_MAX_PROMPT);
    a->x->prompts = mem_new((json_array_size(v) + 1) * sizeof *a->x->prompts);
    json_array_foreach((json_t *)v, i, one) if (!own_document(c, a, query, one, i, no)) return false;
    return true;
}

bool own_fits(const struct call *c, const struct asked *a, const char *param, struct refusal *no)
{
    int n_ctx = c->server->plan.n_ctx, n_new = a->max_tokens < 0 ? 1 : a->max_tokens;
    for (int i = 0; i < a->x->n_prompt; i++) {
        size_t n = a->x->prompts[i].n_ids;
        if (n == 0)
            return refuse(no, 400, param, NULL, "%s has no tokens", param);
        if (n > (size_t)n_ctx || (size_t)n_ctx - n < (size_t)n_new)
            return refuse(no, 400, param, "context_length_exceeded",
                          "the prompt has %zu tokens and %d are to be generated, the context holds %d", n,
                          n_new, n_ctx);
    }
    return true;
}
