/* /openapi.json: what is served, from the rows that serve it.
 *
 * Paths come from endpoints.inc, request bodies from fields.inc, the rest from schemas.inc. Numbers that the model decides (vocabulary,
 * context, its name) are in it as they are here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "server/ask.h"

struct schema {
    const char *name, *json;
};

static const struct schema schemas[] = {
#define RULE(api, ...)
#define SCHEMA(name, ...) {#name, #__VA_ARGS__},
#include "server/schemas.inc"
#undef SCHEMA
#undef RULE
};

static const struct {
    enum api api;
    const char *json;
} rules[] = {
#define SCHEMA(name, ...)
#define RULE(api, ...) {API_##api, #__VA_ARGS__},
#include "server/schemas.inc"
#undef RULE
#undef SCHEMA
};

static const char *const body_names[] = {
    [API_CHAT] = "ChatRequest",         [API_TEXT] = "CompletionRequest",
    [API_EMBED] = "EmbeddingsRequest",  [API_RERANK] = "RerankRequest",
    [API_TOKENIZE] = "TokenizeRequest", [API_DETOKENIZE] = "DetokenizeRequest",
    [API_TEMPLATE] = "TemplateRequest"};
enum { N_API = sizeof body_names / sizeof *body_names };

static json_t *schema_ref(const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "#/components/schemas/%s", name);
    return json_pack("{ss}", "$ref", path);
}

/* ---- request bodies ---- */

static json_t *limited(const char *type, double min, double max)
{
    bool whole = strcmp(type, "integer") == 0;
    return json_pack("{s[ss] so so}", "type", type, "null", "minimum",
                     whole ? json_integer((json_int_t)min) : json_real(min), "maximum",
                     whole ? json_integer((json_int_t)max) : json_real(max));
}

static json_t *schema_of(const struct call *c, const struct field *f)
{
    if (strcmp(f->schema, "NONE") != 0)
        return schema_ref(f->schema);
    switch (f->kind) {
    case KIND_BOOL:
        return json_pack("{s[ss]}", "type", "boolean", "null");
    case KIND_INT:
        return limited("integer", f->min, f->max);
    case KIND_TOKENS:
        return limited("integer", f->min, c->server->plan.n_ctx - 1);
    case KIND_REAL:
        return limited("number", f->min, f->max);
    case KIND_SEED:
        return json_pack("{s[ss] sI sI}", "type", "integer", "null", "minimum", (json_int_t)INT64_MIN,
                         "maximum", (json_int_t)INT64_MAX);
    case KIND_STRING:
        return json_pack("{s[ss]}", "type", "string", "null");
    case KIND_STRINGS:
        return json_pack("{s[ss] s{ss}}", "type", "object", "null", "additionalProperties", "type", "string");
    case KIND_OWN:
        return schema_ref("Any");
    case KIND_REFUSED:
        break;
    }
    return schema_ref("NotProvided");
}

static json_t *body_schema(const struct call *c, enum api api)
{
    json_t *properties = json_object(), *all = json_array();
    for (int i = 0; i < ask_n_field; i++) {
        const struct field *f = &ask_fields[i];
        if (!(f->apis & 1u << api))
            continue;
        json_t *schema = schema_of(c, f);
        json_object_set_new(schema, "description", json_string(f->help));
        json_object_set_new(properties, f->name, schema);
    }
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].api == api)
            json_array_append_new(all, json_loads(rules[i].json, 0, NULL));
    return json_pack("{ss so so}", "type", "object", "properties", properties, "allOf", all);
}

/* ---- what the model decides ---- */

/* A regular expression for the whole numbers from 0 to most, without leading zeros: for each length and each place the numbers that
 * are smaller from there on. */
static void number_pattern(unsigned most, struct buf *out)
{
    char digits[16];
    int n = snprintf(digits, sizeof digits, "%u", most);
    buf_puts(out, "^(");
    for (int len = 1; len < n; len++)
        if (len == 1)
            buf_puts(out, "[0-9]|");
        else
            buf_printf(out, "[1-9][0-9]{%d}|", len - 1);
    for (int i = 0; i < n; i++) {
        int low = i == 0 && n > 1 ? '1' : '0';
        if (digits[i] > low) {
            buf_printf(out, digits[i] - 1 > low ? "%.*s[%c-%c]" : "%.*s%c", i, digits, low, digits[i] - 1);
            if (i < n - 1)
                buf_printf(out, "[0-9]{%d}", n - 1 - i);
            buf_putc(out, '|');
        }
    }
    buf_printf(out, "%s)$", digits);
}

static void fill_in(const struct call *c, json_t *all)
{
    struct lathe_model_info info;
    struct buf pattern;
    lathe_model_get_info(c->server->config->model, &info);
    buf_init(&pattern, 4096);
    number_pattern((unsigned)info.n_vocab - 1, &pattern);
    json_object_set_new(json_object_get(json_object_get(all, "LogitBias"), "propertyNames"), "pattern",
                        json_string(pattern.p));
    buf_free(&pattern);
    json_object_set_new(json_object_get(all, "TokenId"), "maximum", json_integer(info.n_vocab - 1));
    json_object_set_new(json_object_get(all, "TokenIds"), "maxItems", json_integer(c->server->plan.n_ctx));
    json_object_set_new(json_object_get(all, "Dimensions"), "maximum", json_integer(info.n_embd));
    json_array_append_new(json_object_get(json_object_get(all, "ModelName"), "enum"),
                          json_string(c->server->config->model_name));
}

static json_t *all_schemas(const struct call *c)
{
    json_t *all = json_object();
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++)
        json_object_set_new(all, schemas[i].name, json_loads(schemas[i].json, 0, NULL));
    for (int api = API_NONE + 1; api < N_API; api++)
        json_object_set_new(all, body_names[api], body_schema(c, (enum api)api));
    fill_in(c, all);
    return all;
}

/* ---- paths ---- */

static json_t *content(const char *type, const char *schema)
{
    return json_pack("{s{so}}", type, "schema", schema_ref(schema));
}

static void add_answer(json_t *answers, const char *status, const char *what, json_t *content_json)
{
    json_object_set_new(answers, status,
                        json_pack("{ss s{s{ss} s{ss}} so}", "description", what, "headers", "X-Request-Id",
                                  "$ref", "#/components/headers/X-Request-Id", "traceparent", "$ref",
                                  "#/components/headers/traceparent", "content", content_json));
}

static void add_error(json_t *answers, bool may, const char *status, const char *what)
{
    if (may)
        add_answer(answers, status, what, content("application/json", "Error"));
}

static json_t *answers_of(const struct endpoint *e)
{
    json_t *answers = json_object();
    bool is_text = strcmp(e->answer, "PrometheusText") == 0, runs = e->may & MAY_ENGINE;
    json_t *good = content(is_text ? "text/plain" : "application/json", e->answer);
    if (e->may & MAY_STREAM)
        json_object_set_new(good, "text/event-stream", json_object());
    add_answer(answers, "200", "done", good);
    add_error(answers, e->body != API_NONE, "400", "the body is wrong; param names the field");
    add_error(answers, e->role != ROLE_NONE, "401", "no key that is known");
    add_error(answers, true, "403", "the key may not do this, or the Host header is not this server's");
    add_error(answers, e->may & (MAY_MODEL | MAY_ID), "404",
              "there is no such model or request, or the model does not do this");
    add_error(answers, true, "413", "the body is too large");
    add_error(answers, e->role != ROLE_NONE, "429", "too many requests");
    add_error(answers, runs, "499", "the request was cancelled");
    add_error(answers, runs, "500", "the model failed");
    add_error(answers, runs, "503", "too much is waiting, or it was not done in time");
    if (e->may & MAY_503)
        add_answer(answers, "503", "not now", content("application/json", e->answer));
    return answers;
}

static json_t *operation(const struct endpoint *e)
{
    char name[96];
    int n = snprintf(name, sizeof name, "%s", e->method);
    for (const char *p = e->path; *p && n < (int)sizeof name - 1; p++)
        if (*p != '{' && *p != '}')
            name[n++] = *p == '/' || *p == '.' || *p == '-' ? '_' : *p;
    name[n] = 0;
    json_t *op = json_pack("{ss ss s[s] so}", "operationId", name, "summary", e->summary, "tags",
                           e->role_name, "responses", answers_of(e));
    if (e->role == ROLE_NONE)
        json_object_set_new(op, "security", json_array());
    if (strchr(e->path, '{'))
        json_object_set_new(op, "parameters",
                            json_pack("[{ss ss sb s{ss si ss}}]", "name", "id", "in", "path", "required", 1,
                                      "schema", "type", "string", "minLength", 1, "pattern", "^[^/]+$"));
    if (e->body != API_NONE)
        json_object_set_new(
            op, "requestBody",
            json_pack("{sb so}", "required", 1, "content", content("application/json", body_names[e->body])));
    return op;
}

static json_t *paths(void)
{
    json_t *all = json_object();
    for (const struct endpoint *e = http_endpoints; e < http_endpoints + http_n_endpoint; e++) {
        char method[16];
        size_t n = strlen(e->method);
        for (size_t i = 0; i <= n && i < sizeof method; i++)
            method[i] = (char)(e->method[i] | (e->method[i] ? 0x20 : 0));
        json_t *path = json_object_get(all, e->path);
        if (!path)
            json_object_set_new(all, e->path, path = json_object());
        json_object_set_new(path, method, operation(e));
    }
    return all;
}

enum MHD_Result endpoint_openapi(struct call *c)
{
    json_t *headers = json_pack(
        "{s{ss s{ss}} s{ss s{ss}}}", "X-Request-Id", "description", "the client's own, or one that was made",
        "schema", "type", "string", "traceparent", "description",
        "the client's trace with a span of this server, if it sent one", "schema", "type", "string");
    json_t *keys = json_pack("{s{ss ss}}", "key", "type", "http", "scheme", "bearer");
    json_t *doc = json_pack("{ss s{ss ss s{ss}} so s[{}{s[]}] s{so so so}}", "openapi", "3.1.0", "info",
                            "title", "lathe", "version", LATHE_VERSION, "license", "name", "Apache-2.0",
                            "paths", paths(), "security", "key", "components", "schemas", all_schemas(c),
                            "headers", headers, "securitySchemes", keys);
    return http_reply(c, 200, doc, NULL);
}
