/* Request bodies: JSON in, an exchange ready for dispatch out. */
#include "server/ask.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum kind { KIND_BOOL, KIND_INT, KIND_REAL, KIND_SEED, KIND_OWN, KIND_REFUSED };
enum { CHAT = 1 << API_CHAT, TEXT = 1 << API_TEXT, BOTH = CHAT | TEXT };

struct field {
    unsigned apis;
    const char *name;
    enum kind kind;
    size_t offset;
    double min, max;
};

static const struct field fields[] = {
#define FIELD(apis, name, kind, member, min, max) \
    {apis, name, KIND_##kind, offsetof(struct asked, member), min, max},
#include "server/fields.inc"
#undef FIELD
};
enum { N_FIELD = sizeof fields / sizeof *fields };

/* False, so that callers return it. */
__attribute__((format(printf, 5, 6))) static bool
refuse(struct refusal *no, unsigned status, const char *param, const char *code, const char *format, ...)
{
    va_list args;
    no->status = status;
    no->code = code;
    snprintf(no->param, sizeof no->param, "%s", param ? param : "");
    va_start(args, format);
    vsnprintf(no->text, sizeof no->text, format, args);
    va_end(args);
    return false;
}

static bool refuse_err(struct refusal *no, const char *param, const struct lathe_err *err)
{
    return refuse(no, (unsigned)lathe_code_http(err->code), param,
                  err->code == LATHE_E_CONTEXT ? "context_length_exceeded" : NULL, "%s", err->text);
}

/* ---- fields by their rows ---- */

static bool set_field(struct asked *a, const struct field *f, const json_t *v, struct refusal *no)
{
    void *to = (char *)a + f->offset;
    double number = json_is_number(v) ? json_number_value(v) : NAN;
    bool fits = number >= f->min && number <= f->max;
    switch (f->kind) {
    case KIND_BOOL:
        *(bool *)to = json_is_true(v);
        return json_is_boolean(v) || refuse(no, 400, f->name, NULL, "%s must be true or false", f->name);
    case KIND_INT:
        *(int *)to = fits ? (int)number : 0;
        return (json_is_integer(v) && fits) ||
               refuse(no, 400, f->name, NULL, "%s must be a whole number from %.0f to %.0f", f->name, f->min,
                      f->max);
    case KIND_REAL:
        *(double *)to = number;
        return fits ||
               refuse(no, 400, f->name, NULL, "%s must be a number from %g to %g", f->name, f->min, f->max);
    case KIND_SEED:
        *(uint64_t *)to = (uint64_t)json_integer_value(v);
        return json_is_integer(v) ||
               refuse(no, 400, f->name, NULL, "%s must be a whole number of 64 bits", f->name);
    case KIND_OWN:
        return true;
    case KIND_REFUSED:
        break;
    }
    const char *type = json_string_value(json_object_get(v, "type"));
    bool harmless =
        json_is_false(v) || (json_is_number(v) && number == f->min) ||
        (json_is_string(v) && (!*json_string_value(v) || strcmp(json_string_value(v), "none") == 0)) ||
        (json_is_array(v) && json_array_size(v) == 0) || (json_is_object(v) && json_object_size(v) == 0) ||
        (type && strcmp(type, "text") == 0);
    return harmless ||
           refuse(no, 400, f->name, "unsupported_field", "%s is not provided by this server", f->name);
}

static bool read_fields(struct asked *a, enum api api, const json_t *body, struct refusal *no)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)body, name, v)
    {
        int i = 0;
        while (i < N_FIELD && (!(fields[i].apis & 1u << api) || strcmp(fields[i].name, name) != 0))
            i++;
        if (i == N_FIELD) {
            bool plain =
                strlen(name) < 64 && name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
                                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")] == 0;
            buf_printf(&a->ignored, "%s%s", a->ignored.n ? ", " : "", plain ? name : "?");
        } else if (!json_is_null(v) && !set_field(a, &fields[i], v, no)) {
            return false;
        }
    }
    return true;
}

/* ---- fields with a reader of their own ---- */

static bool read_model(const struct call *c, const json_t *v, struct refusal *no)
{
    const char *name = json_string_value(v), *ours = c->server->config->model_name;
    if (!v || json_is_null(v) || (name && (strcmp(name, ours) == 0 || strcmp(name, "default") == 0)))
        return true;
    if (!name)
        return refuse(no, 400, "model", NULL, "model must be a string");
    return refuse(no, 404, "model", "model_not_found", "there is no model %.100s here; %.200s is served",
                  name, ours);
}

static bool add_stop(struct asked *a, int *n, const json_t *v, struct refusal *no)
{
    const char *text = json_string_value(v);
    if (!text || !*text)
        return refuse(no, 400, "stop", NULL,
                      "stop must be a string or a list of strings, none of them empty");
    if (*n == EXCHANGE_MAX_STOP)
        return refuse(no, 400, "stop", NULL, "stop has more than %d strings", EXCHANGE_MAX_STOP);
    a->x->stop[(*n)++] = mem_dup(text, strlen(text));
    return true;
}

static bool read_stop(struct asked *a, const json_t *v, struct refusal *no)
{
    int n = 0;
    size_t i;
    json_t *one;
    if (json_is_array(v)) {
        json_array_foreach((json_t *)v, i, one) if (!add_stop(a, &n, one, no)) return false;
    } else if (v && !json_is_null(v) && !add_stop(a, &n, v, no)) {
        return false;
    }
    a->x->request.stop = (const char *const *)a->x->stop;
    a->x->request.n_stop = (size_t)n;
    return true;
}

static bool read_bias(const struct call *c, struct asked *a, const json_t *v, struct refusal *no)
{
    const char *key;
    json_t *bias;
    size_t n = 0;
    int n_vocab = lathe_vocab_size(lathe_model_vocab(c->server->config->model));
    if (!v || json_is_null(v))
        return true;
    if (!json_is_object(v))
        return refuse(no, 400, "logit_bias", NULL, "logit_bias must be an object of token ids and numbers");
    a->x->bias = mem_new((json_object_size(v) + 1) * sizeof *a->x->bias);
    json_object_foreach((json_t *)v, key, bias)
    {
        char *end;
        long id = strtol(key, &end, 10);
        double b = json_is_number(bias) ? json_number_value(bias) : NAN;
        if (end == key || *end || id < 0 || id >= n_vocab || !(b >= -100 && b <= 100))
            return refuse(no, 400, "logit_bias", NULL,
                          "logit_bias must map ids from 0 to %d to numbers from -100 to 100", n_vocab - 1);
        a->x->bias[n++] = (struct lathe_logit_bias){(int32_t)id, b <= -100 ? -INFINITY : (float)b};
    }
    a->x->request.sampling.bias = a->x->bias;
    a->x->request.sampling.n_bias = n;
    return true;
}

static bool read_stream_options(struct asked *a, const json_t *v, struct refusal *no)
{
    const json_t *usage = json_object_get(v, "include_usage");
    if (!v || json_is_null(v))
        return true;
    if (!json_is_object(v) || (usage && !json_is_boolean(usage)))
        return refuse(no, 400, "stream_options", NULL,
                      "stream_options must be an object with include_usage: true or false");
    if (!a->stream)
        return refuse(no, 400, "stream_options", NULL, "stream_options goes with stream: true");
    a->include_usage = json_is_true(usage);
    return true;
}

/* ---- prompts ---- */

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

static bool read_messages(const struct call *c, struct asked *a, const json_t *messages, struct refusal *no)
{
    const lathe_model *model = c->server->config->model;
    struct lathe_err err;
    char *text = NULL;
    size_t n;
    json_t *plain = json_array();
    bool ok = plain_messages(messages, plain, no);
    json_t *vars = json_pack("{so sb}", "messages", plain, "add_generation_prompt", 1);
    char *json = ok ? json_dumps(vars, JSON_PRESERVE_ORDER) : NULL;
    json_decref(vars);
    if (ok && lathe_chat_render(model, json, strlen(json), NULL, &text, &n, &err))
        ok = refuse_err(no, "messages", &err);
    struct exchange_prompt *p = add_prompt(a);
    if (ok && lathe_chat_tokenize(lathe_model_vocab(model), text, n, &p->ids, &p->n_ids, &err))
        ok = refuse_err(no, "messages", &err);
    free(json);
    free(text);
    return ok;
}

static bool read_ids(const struct call *c, struct asked *a, const json_t *list, struct refusal *no)
{
    struct exchange_prompt *p = add_prompt(a);
    int n_vocab = lathe_vocab_size(lathe_model_vocab(c->server->config->model));
    size_t i;
    json_t *id;
    p->ids = mem_new((json_array_size(list) + 1) * sizeof *p->ids);
    json_array_foreach((json_t *)list, i, id)
    {
        json_int_t v = json_is_integer(id) ? json_integer_value(id) : -1;
        if (v < 0 || v >= n_vocab)
            return refuse(no, 400, "prompt", NULL, "prompt: token ids must be whole numbers from 0 to %d",
                          n_vocab - 1);
        p->ids[p->n_ids++] = (int32_t)v;
    }
    return true;
}

static bool read_text(const struct call *c, struct asked *a, const json_t *v, struct refusal *no)
{
    struct exchange_prompt *p = add_prompt(a);
    struct lathe_err err;
    if (lathe_tokenize(lathe_model_vocab(c->server->config->model), json_string_value(v),
                       json_string_length(v), LATHE_TOK_BOS, &p->ids, &p->n_ids, &err))
        return refuse_err(no, "prompt", &err);
    return true;
}

/* A string, a list of strings, a list of ids, or a list of lists of ids. */
static bool read_prompt(const struct call *c, struct asked *a, const json_t *v, struct refusal *no)
{
    size_t i;
    json_t *one;
    if (json_is_string(v))
        return read_text(c, a, v, no);
    if (json_is_array(v) && json_is_integer(json_array_get(v, 0)))
        return read_ids(c, a, v, no);
    if (!json_is_array(v) || json_array_size(v) == 0)
        return refuse(no, 400, "prompt", NULL, "prompt must be a string, a list of strings, or token ids");
    if (json_array_size(v) > EXCHANGE_MAX_PROMPT)
        return refuse(no, 400, "prompt", NULL, "prompt has more than %d parts", EXCHANGE_MAX_PROMPT);
    json_array_foreach((json_t *)v, i, one)
    {
        bool ok = json_is_string(one) ? read_text(c, a, one, no)
                  : json_is_array(one)
                      ? read_ids(c, a, one, no)
                      : refuse(no, 400, "prompt", NULL, "prompt[%zu] must be a string or token ids", i);
        if (!ok)
            return false;
    }
    return true;
}

static bool prompts_fit(const struct call *c, const struct asked *a, const char *param, struct refusal *no)
{
    int n_ctx = c->server->plan.n_ctx;
    for (int i = 0; i < a->x->n_prompt; i++) {
        size_t n = a->x->prompts[i].n_ids;
        if (n == 0)
            return refuse(no, 400, param, NULL, "%s has no tokens", param);
        if (n >= (size_t)n_ctx || (size_t)n_ctx - n < (size_t)a->max_tokens)
            return refuse(no, 400, param, "context_length_exceeded",
                          "the prompt has %zu tokens and %d are to be generated, the context holds %d", n,
                          a->max_tokens ? a->max_tokens : 1, n_ctx);
    }
    return true;
}

/* ---- the whole ---- */

/* A chat asks for logprobs by one field and for alternatives by another. */
static bool settle_logprobs(enum api api, struct asked *a, struct refusal *no)
{
    if (api == API_CHAT && !a->logprobs && a->n_logprob > 0)
        return refuse(no, 400, "top_logprobs", NULL, "top_logprobs goes with logprobs: true");
    if (api == API_CHAT)
        a->n_logprob = !a->logprobs ? -1 : a->n_logprob < 0 ? 0 : a->n_logprob;
    return true;
}

static void set_request(struct asked *a)
{
    struct lathe_request *r = &a->x->request;
    struct lathe_sampling *s = &r->sampling;
    r->n_predict = a->max_tokens ? a->max_tokens : -1;
    r->ignore_eos = a->ignore_eos;
    r->n_logprob = a->n_logprob;
    s->temperature = (float)a->temperature;
    s->top_k = a->top_k;
    s->top_p = (float)a->top_p;
    s->min_p = (float)a->min_p;
    s->frequency_penalty = (float)a->frequency_penalty;
    s->presence_penalty = (float)a->presence_penalty;
    s->repeat_penalty = (float)a->repetition_penalty;
    s->penalty_last_n = -1;
    s->seed = a->seed;
    a->x->n_candidate = a->n;
}

static bool read_body(struct call *c, enum api api, struct asked *a, const json_t *body, struct refusal *no)
{
    const char *name = api == API_CHAT ? "messages" : "prompt";
    const json_t *prompt = json_object_get(body, name);
    if (!read_fields(a, api, body, no) || !read_model(c, json_object_get(body, "model"), no) ||
        !read_stop(a, json_object_get(body, "stop"), no) ||
        !read_bias(c, a, json_object_get(body, "logit_bias"), no) ||
        !read_stream_options(a, json_object_get(body, "stream_options"), no) || !settle_logprobs(api, a, no))
        return false;
    if (!prompt)
        return refuse(no, 400, name, NULL, "%s is missing", name);
    a->x->prompts =
        mem_new((json_is_array(prompt) ? json_array_size(prompt) + 1 : 1) * sizeof *a->x->prompts);
    if (!(api == API_CHAT ? read_messages : read_prompt)(c, a, prompt, no))
        return false;
    set_request(a);
    return prompts_fit(c, a, name, no);
}

bool ask_read(struct call *c, enum api api, struct asked *a, struct refusal *no)
{
    json_error_t why;
    *a = (struct asked){.n = 1, .n_logprob = -1, .temperature = 1, .top_p = 1, .repetition_penalty = 1};
    buf_init(&a->ignored, 2048);
    a->x = exchange_new(c->connection, c->server->watch);
    if (getrandom(&a->seed, sizeof a->seed, 0) != (ssize_t)sizeof a->seed)
        a->seed = 0;
    json_t *body =
        json_loadb(c->body.p ? c->body.p : "", c->body.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    bool ok = json_is_object(body)
                  ? read_body(c, api, a, body, no)
                  : refuse(no, 400, NULL, NULL, "the body is no JSON object: %.200s at byte %d",
                           body ? "another kind of value" : why.text, body ? 0 : why.position);
    json_decref(body);
    return ok;
}

void ask_free(struct asked *a)
{
    exchange_unref(a->x);
    buf_free(&a->ignored);
}
