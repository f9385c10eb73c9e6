/* Request bodies: JSON in, an exchange ready for dispatch out. */
#include "server/ask.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "server/ask_own.h"

enum {
    CHAT = 1 << API_CHAT,
    TEXT = 1 << API_TEXT,
    EMBED = 1 << API_EMBED,
    RERANK = 1 << API_RERANK,
    TOKENIZE = 1 << API_TOKENIZE,
    DETOKENIZE = 1 << API_DETOKENIZE,
    TEMPLATE = 1 << API_TEMPLATE,
    BOTH = CHAT | TEXT,
    TALK = CHAT | TEMPLATE | TOKENIZE,
    RUN = BOTH | EMBED | RERANK,
    EVERY = RUN | TOKENIZE | DETOKENIZE | TEMPLATE
};

const struct field ask_fields[] = {
#define FIELD(apis, name, kind, member, min, max, schema, help) \
    {apis, name, KIND_##kind, offsetof(struct asked, member), min, max, #schema, help},
#include "server/fields.inc"
#undef FIELD
};
const int ask_n_field = sizeof ask_fields / sizeof *ask_fields;

/* ---- fields by their rows ---- */

static const double TWO_63 = 9223372036854775808.0;

bool ask_whole(const json_t *v, int64_t min, int64_t max, int64_t *out)
{
    double real = json_real_value(v);
    *out = json_is_integer(v) ? json_integer_value(v) : 0;
    if (json_is_real(v) && real > -TWO_63 && real < TWO_63 && real == floor(real))
        *out = (int64_t)real;
    else if (!json_is_integer(v))
        return false;
    return *out >= min && *out <= max;
}

/* What may stand in a field that is not provided, since it asks for nothing. */
static bool asks_for_nothing(const struct field *f, const json_t *v)
{
    const char *type = json_string_value(json_object_get(v, "type"));
    return json_is_false(v) || (json_is_number(v) && json_number_value(v) == f->min) ||
           (json_is_string(v) && (!*json_string_value(v) || strcmp(json_string_value(v), "none") == 0)) ||
           (json_is_array(v) && json_array_size(v) == 0) || (json_is_object(v) && json_object_size(v) == 0) ||
           (type && strcmp(type, "text") == 0);
}

static bool are_strings(const json_t *v)
{
    const char *name;
    json_t *one;
    bool ok = json_is_object(v);
    json_object_foreach((json_t *)v, name, one) ok = ok && json_is_string(one);
    return ok;
}

static bool set_field(struct asked *a, const struct field *f, const json_t *v, struct refusal *no)
{
    void *to = (char *)a + f->offset;
    double number = json_is_number(v) ? json_number_value(v) : NAN;
    bool fits = number >= f->min && number <= f->max;
    int64_t whole = 0;
    switch (f->kind) {
    case KIND_BOOL:
        *(bool *)to = json_is_true(v);
        return json_is_boolean(v) || refuse(no, 400, f->name, NULL, "%s must be true or false", f->name);
    case KIND_INT:
    case KIND_TOKENS:
        fits = ask_whole(v, (int64_t)f->min, (int64_t)f->max, &whole);
        *(int *)to = (int)whole;
        return fits || refuse(no, 400, f->name, NULL, "%s must be a whole number from %.0f to %.0f", f->name,
                              f->min, f->max);
    case KIND_REAL:
        *(double *)to = number;
        return fits ||
               refuse(no, 400, f->name, NULL, "%s must be a number from %g to %g", f->name, f->min, f->max);
    case KIND_SEED:
        fits = ask_whole(v, INT64_MIN, INT64_MAX, &whole);
        *(uint64_t *)to = (uint64_t)whole;
        return fits || refuse(no, 400, f->name, NULL, "%s must be a whole number of 64 bits", f->name);
    case KIND_STRING:
        return json_is_string(v) || refuse(no, 400, f->name, NULL, "%s must be a string", f->name);
    case KIND_STRINGS:
        return are_strings(v) || refuse(no, 400, f->name, NULL, "%s must be an object of strings", f->name);
    case KIND_OWN:
        return true;
    case KIND_REFUSED:
        break;
    }
    return asks_for_nothing(f, v) ||
           refuse(no, 400, f->name, "unsupported_field", "%s is not provided by this server", f->name);
}

static bool read_fields(struct asked *a, enum api api, const json_t *body, struct refusal *no)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)body, name, v)
    {
        int i = 0;
        while (i < ask_n_field &&
               (!(ask_fields[i].apis & 1u << api) || strcmp(ask_fields[i].name, name) != 0))
            i++;
        if (i == ask_n_field) {
            bool plain =
                strlen(name) < 64 && name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
                                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")] == 0;
            buf_printf(&a->ignored, "%s%s", a->ignored.n ? ", " : "", plain ? name : "?");
        } else if (!json_is_null(v) && !set_field(a, &ask_fields[i], v, no)) {
            return false;
        }
    }
    return true;
}

/* ---- fields that depend on each other ---- */

/* A chat asks for logprobs by one field and for alternatives by another. */
static bool settle_logprobs(enum api api, struct asked *a, struct refusal *no)
{
    if (api == API_CHAT && !a->logprobs && a->n_logprob > 0)
        return refuse(no, 400, "top_logprobs", NULL, "top_logprobs goes with logprobs: true");
    if (api == API_CHAT)
        a->n_logprob = !a->logprobs ? -1 : a->n_logprob < 0 ? 0 : a->n_logprob;
    return true;
}

/* Old and new name of the most tokens: the new one counts, but neither may be out of range. */
static bool settle_max_tokens(const struct call *c, struct asked *a, struct refusal *no)
{
    int most = a->max_tokens > a->max_completion_tokens ? a->max_tokens : a->max_completion_tokens;
    if (a->max_completion_tokens && most >= c->server->plan.n_ctx)
        return refuse(no, 400, most == a->max_tokens ? "max_tokens" : "max_completion_tokens",
                      "context_length_exceeded", "%d tokens are to be generated, the context holds %d", most,
                      c->server->plan.n_ctx);
    if (a->max_completion_tokens)
        a->max_tokens = a->max_completion_tokens;
    return true;
}

/* Whether the model does what is asked for at all; if not, the endpoint is none of this server's. */
static bool settle_kind(const struct lathe_model_info *m, enum api api, struct refusal *no)
{
    bool generates = api == API_CHAT || api == API_TEXT;
    if (generates && !m->generates)
        return refuse(no, 404, NULL, "unsupported_model",
                      "%.100s is an encoder (%s) and generates nothing: ask %s", m->name, m->architecture,
                      m->n_class ? "/v1/rerank" : "/v1/embeddings");
    if (api == API_EMBED && m->n_class)
        return refuse(no, 404, NULL, "unsupported_model",
                      "%.100s classifies texts and gives no embeddings: ask /v1/rerank", m->name);
    if (api == API_RERANK && m->n_class != 1)
        return refuse(no, 404, NULL, "unsupported_model",
                      "%.100s has %d classes; a model that ranks compares two texts and has one", m->name,
                      m->n_class);
    return true;
}

static bool settle(const struct call *c, enum api api, struct asked *a, struct refusal *no)
{
    struct lathe_model_info info;
    lathe_model_get_info(c->server->config->model, &info);
    if (!settle_kind(&info, api, no))
        return false;
    if (a->max_tokens == 0 && !a->echo && api == API_TEXT)
        return refuse(no, 400, "max_tokens", NULL,
                      "max_tokens: 0 goes with echo: true; without it it must be 1 or more");
    if (a->best_of && a->best_of != 1 && a->best_of != a->n)
        return refuse(no, 400, "best_of", "unsupported_field",
                      "best_of is %d and n is %d: this server returns every answer that it generates, "
                      "best_of must be 1 or n",
                      a->best_of, a->n);
    if (a->dimensions > info.n_embd)
        return refuse(no, 400, "dimensions", NULL, "dimensions is %d, an embedding of this model has %d",
                      a->dimensions, info.n_embd);
    return settle_max_tokens(c, a, no) && settle_logprobs(api, a, no);
}

static void set_request(enum api api, struct asked *a)
{
    struct lathe_request *r = &a->x->request;
    struct lathe_sampling *s = &r->sampling;
    r->n_predict = a->max_tokens;
    r->ignore_eos = a->ignore_eos;
    r->n_logprob = a->n_logprob;
    r->prompt_logprobs = a->echo && a->n_logprob >= 0;
    r->embed = api == API_EMBED || api == API_RERANK;
    r->n_dimension = a->dimensions;
    r->priority = a->priority;
    r->timeout_ms = a->timeout_ms;
    r->ttft_deadline_ms = a->ttft_deadline_ms;
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

/* ---- the whole ---- */

/* The field that the request is about; of tokenizing, the one that is there. NULL: none, or more than one. */
static const char *subject(enum api api, const json_t *body)
{
    static const char *const of_api[] = {
        [API_CHAT] = "messages",    [API_TEXT] = "prompt",       [API_EMBED] = "input",
        [API_RERANK] = "documents", [API_DETOKENIZE] = "tokens", [API_TEMPLATE] = "messages"};
    static const char *const of_tokenize[] = {"prompt", "content", "text", "messages"};
    const char *found = NULL;
    if (api != API_TOKENIZE)
        return of_api[api];
    for (size_t i = 0; i < sizeof of_tokenize / sizeof *of_tokenize; i++) {
        const json_t *v = json_object_get(body, of_tokenize[i]);
        if (!v || json_is_null(v))
            continue;
        if (found)
            return NULL;
        found = of_tokenize[i];
    }
    return found;
}

static bool read_subject(struct call *c, enum api api, struct asked *a, const char *name, const json_t *v,
                         struct refusal *no)
{
    a->x->prompts = mem_new((json_is_array(v) ? json_array_size(v) + 1 : 1) * sizeof *a->x->prompts);
    if (api == API_TEMPLATE)
        return own_render(c, a, v, &a->text, &a->n_text, no);
    if (strcmp(name, "messages") == 0)
        return own_messages(c, a, v, no);
    if (api == API_TOKENIZE)
        return own_text(c, a, name, v, true, no);
    if (api == API_DETOKENIZE && !json_is_array(v))
        return refuse(no, 400, name, NULL, "%s must be a list of token ids", name);
    return (api == API_DETOKENIZE ? own_ids : own_prompt)(c, a, name, v, no);
}

static bool read_body(struct call *c, enum api api, struct asked *a, const json_t *body, struct refusal *no)
{
    const char *name = subject(api, body);
    const json_t *v = name ? json_object_get(body, name) : NULL;
    bool generates = api == API_CHAT || api == API_TEXT,
         runs = generates || api == API_EMBED || api == API_RERANK;
    if (!read_fields(a, api, body, no) || !own_model(c, json_object_get(body, "model"), no))
        return false;
    if ((1 << api & TALK) && !own_template_vars(a, json_object_get(body, "chat_template_kwargs"),
                                                json_object_get(body, "reasoning_effort"), no))
        return false;
    if (generates && (!own_stop(a, json_object_get(body, "stop"), no) ||
                      !own_bias(c, a, json_object_get(body, "logit_bias"), no) ||
                      !own_stream_options(a, json_object_get(body, "stream_options"), no)))
        return false;
    if (api == API_EMBED && !own_encoding_format(a, json_object_get(body, "encoding_format"), no))
        return false;
    if (runs && !settle(c, api, a, no))
        return false;
    if (!name)
        return refuse(no, 400, NULL, NULL, "one of prompt, content, text and messages must be there");
    if (!v)
        return refuse(no, 400, name, NULL, "%s is missing", name);
    if (!(api == API_RERANK ? own_documents(c, a, json_object_get(body, "query"), v, no)
                            : read_subject(c, api, a, name, v, no)))
        return false;
    if (!runs)
        return true;
    set_request(api, a);
    return own_fits(c, a, name, no);
}

/* Numbers beyond 64 bits are read as reals: in a field of ours they are out of its range, elsewhere they do not matter. */
static json_t *parse(const struct buf *body, json_error_t *why)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    const char *p = body->p ? body->p : "";
    json_t *v = json_loadb(p, body->n, flags, why);
    if (!v && json_error_code(why) == json_error_numeric_overflow)
        v = json_loadb(p, body->n, flags | JSON_DECODE_INT_AS_REAL, why);
    return v;
}

bool ask_read(struct call *c, enum api api, struct asked *a, struct refusal *no)
{
    json_error_t why;
    *a = (struct asked){.n = 1,
                        .n_logprob = -1,
                        .max_tokens = api == API_EMBED || api == API_RERANK ? 0 : -1,
                        .temperature = 1,
                        .top_p = 1,
                        .repetition_penalty = 1,
                        .add_special = true,
                        .generation_prompt = true};
    buf_init(&a->ignored, 2048);
    a->x = exchange_new(c->connection, c->server->watch);
    if (getrandom(&a->seed, sizeof a->seed, 0) != (ssize_t)sizeof a->seed)
        a->seed = 0;
    json_t *body = parse(&c->body, &why);
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
    free(a->text);
}

enum MHD_Result ask_refused(struct call *c, const struct refusal *no)
{
    return http_error(c, no->status, no->param[0] ? no->param : NULL, no->code, "%s", no->text);
}
