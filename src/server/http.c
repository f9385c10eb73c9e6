/* HTTP: routing, bodies, answers. */
#include "server/http.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/json_text.h"
#include "server/request_log.h"

const struct endpoint http_endpoints[] = {
#define ENDPOINT(method, path, name, role, body, answer, may, summary) \
    {#method, path, endpoint_##name, ROLE_##role, #role, API_##body, #answer, may, summary},
#include "server/endpoints.inc"
#undef ENDPOINT
};
const int http_n_endpoint = sizeof http_endpoints / sizeof *http_endpoints;

/* ---- answers ---- */

char *http_json_text(json_t *object)
{
    char *text =
        object ? json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(object);
    return text;
}

json_t *http_error_object(unsigned status, const char *text, size_t n_text, const char *param,
                          const char *code)
{
    return json_pack("{s{so ss ss? ss?}}", "error", "message", json_text(text, n_text), "type",
                     status < 500 ? "invalid_request_error" : "server_error", "param", param, "code", code);
}

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
    if (value && *value)
        mhd.add_response_header(r, name, value);
}

static const char *header_of(const struct call *c, const char *name)
{
    return mhd.lookup_connection_value(c->connection, MHD_HEADER_KIND, name);
}

/* Whole seconds: what a limit of the key says, or until what waits now has been computed, by the measured rate. */
static void add_retry_after(const struct call *c, struct MHD_Response *r)
{
    struct lathe_engine_stats s;
    char seconds[16];
    dispatch_stats(c->server->dispatch, &s);
    double wait = c->refusal.retry_s   ? c->refusal.retry_s
                  : s.prefill_rate > 0 ? (double)s.n_waiting_token / s.prefill_rate
                                       : 1;
    snprintf(seconds, sizeof seconds, "%.0f", ceil(wait < 1 ? 1 : wait > 3600 ? 3600 : wait));
    mhd.add_response_header(r, "Retry-After", seconds);
}

static void add_cors(const struct call *c, struct MHD_Response *r)
{
    const char *origin = header_of(c, "Origin");
    if (!access_origin(c->server->access, origin))
        return;
    mhd.add_response_header(r, "Access-Control-Allow-Origin", origin);
    mhd.add_response_header(r, "Access-Control-Expose-Headers", "*");
    mhd.add_response_header(r, "Vary", "Origin");
}

enum MHD_Result http_send(struct call *c, unsigned status, struct MHD_Response *r, const char *ignored)
{
    if (!r)
        return MHD_NO;
    add_header(r, "X-Request-Id", c->trace.id);
    add_header(r, "traceparent", c->trace.parent);
    add_header(r, "X-Lathe-Ignored-Fields", ignored);
    add_header(r, "Allow", c->allowed);
    add_header(r, "WWW-Authenticate", status == 401 ? "Bearer" : NULL);
    add_cors(c, r);
    if (status == 429 || status == 503)
        add_retry_after(c, r);
    c->status = status;
    metrics_answer(c->server->metrics, c->endpoint ? (int)(c->endpoint - http_endpoints) : http_n_endpoint,
                   status);
    enum MHD_Result done = mhd.queue_response(c->connection, status, r);
    mhd.destroy_response(r);
    return done;
}

enum MHD_Result http_reply_text(struct call *c, unsigned status, const char *type, char *text, size_t n,
                                const char *ignored)
{
    struct MHD_Response *r = text ? mhd.create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (r)
        mhd.add_response_header(r, "Content-Type", type);
    else
        free(text);
    return http_send(c, status, r, ignored);
}

enum MHD_Result http_reply(struct call *c, unsigned status, json_t *body, const char *ignored)
{
    char *text = http_json_text(body);
    return http_reply_text(c, status, "application/json", text, text ? strlen(text) : 0, ignored);
}

enum MHD_Result http_error(struct call *c, unsigned status, const char *param, const char *code,
                           const char *format, ...)
{
    char text[640];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    metrics_reject(c->server->metrics, code);
    return http_reply(c, status, http_error_object(status, text, strlen(text), param, code), NULL);
}

/* ---- requests ---- */

/* Whether the path is the row's; *id is what stands for its {id}. */
static bool path_matches(const struct endpoint *e, const char *path, const char **id)
{
    size_t n = strcspn(e->path, "{");
    *id = path + n;
    return e->path[n] ? strncmp(e->path, path, n) == 0 && path[n] && !strchr(path + n, '/')
                      : strcmp(e->path, path) == 0;
}

/* The endpoint of a path on this listener that takes the method, or NULL; then c->allowed has those that the path takes. */
static const struct endpoint *find_endpoint(struct call *c, const char *method, const char *path)
{
    for (const struct endpoint *e = http_endpoints; e < http_endpoints + http_n_endpoint; e++) {
        bool here = e->role & ROLE_INFER ? c->listener->requests : c->listener->operations;
        if (!here || !path_matches(e, path, &c->id))
            continue;
        if (strcmp(e->method, method) == 0) {
            c->allowed[0] = 0;
            return e;
        }
        size_t n = strlen(c->allowed);
        snprintf(c->allowed + n, sizeof c->allowed - n, "%s%s", n ? ", " : "", e->method);
    }
    return NULL;
}

/* What a page of another origin may do, for a browser that asks before. */
static enum MHD_Result answer_preflight(struct call *c)
{
    struct MHD_Response *r = mhd.create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    if (r) {
        mhd.add_response_header(r, "Access-Control-Allow-Methods", "GET, POST, DELETE");
        mhd.add_response_header(r, "Access-Control-Allow-Headers",
                                "Authorization, Content-Type, X-Api-Key, X-Request-Id, traceparent");
        mhd.add_response_header(r, "Access-Control-Max-Age", "600");
    }
    return http_send(c, 204, r, NULL);
}

static enum MHD_Result run(struct call *c, const char *path)
{
    if (c->preflight)
        return answer_preflight(c);
    if (c->refusal.status)
        return http_error(c, c->refusal.status, NULL, c->refusal.code, "%s", c->refusal.text);
    if (c->body.full && c->endpoint)
        return http_error(c, 413, NULL, "too_large", "the body is larger than %.1f MiB",
                          (double)c->server->bodies.each / 1048576.0);
    if (c->crowded)
        return http_error(c, 503, NULL, "too_much_at_once",
                          "the bodies of %.1f MiB that may come at once are here",
                          (double)c->server->bodies.all / 1048576.0);
    if (c->endpoint) {
        enum MHD_Result done = c->endpoint->run(c);
        if (!c->server->log_prompts) /* it is read: an answer may take long */
            bodies_drop(&c->server->bodies, &c->body);
        return done;
    }
    if (*c->allowed)
        return http_error(c, 405, NULL, "method_not_allowed", "%.200s does not take this method", path);
    return http_error(c, 404, NULL, "not_found", "there is no %.200s here", path);
}

/* The headers are there: whether the client is let in decides on them, so that nobody else's body is kept. */
static struct call *call_new(const struct listener *l, struct MHD_Connection *connection, const char *method,
                             const char *path)
{
    struct call *c = mem_new(sizeof *c);
    *c = (struct call){.server = l->server, .listener = l, .connection = connection, .begun_s = clock_s()};
    const union MHD_ConnectionInfo *info =
        mhd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct access_ask ask = {.host =
                                 l->unix_path[0] ? NULL : header_of(c, "Host"), /* no page gets to a socket */
                             .authorization = header_of(c, "Authorization"),
                             .api_key = header_of(c, "X-Api-Key")};
    c->guest = info ? info->socket_context : NULL;
    snprintf(c->method, sizeof c->method, "%s", method);
    snprintf(c->path, sizeof c->path, "%s", path);
    trace_read(&c->trace, header_of(c, "X-Request-Id"), header_of(c, "traceparent"));
    c->endpoint = find_endpoint(c, method, path);
    c->preflight = strcmp(method, "OPTIONS") == 0 && header_of(c, "Access-Control-Request-Method") &&
                   access_origin(l->server->access, header_of(c, "Origin"));
    ask.known = c->endpoint != NULL;
    ask.roles = c->endpoint ? c->endpoint->role : ROLE_NONE;
    ask.counts = c->endpoint && c->endpoint->role == ROLE_INFER && strcmp(method, "POST") == 0;
    if (!c->preflight)
        access_check(l->server->access, &ask, &c->key, &c->refusal);
    c->counted = c->key && ask.counts && !c->refusal.status;
    bool keeps = c->endpoint && !c->refusal.status && !c->preflight;
    buf_init(&c->body, keeps ? l->server->bodies.each : 0);
    guard_body(l->server->guard, c->guest);
    return c;
}

/* Whether to answer before the body: its sender waits to be told to send it, and it would be dropped. */
static bool answers_at_once(const struct call *c)
{
    const char *length = header_of(c, "Content-Length");
    if (!header_of(c, "Expect"))
        return false;
    return c->refusal.status || (length && strtoull(length, NULL, 10) > c->body.limit);
}

/* The library calls this when the headers are there, for every part of the body, at its end, and after a resume. */
enum MHD_Result http_on_request(void *listener, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *part, size_t *n_part,
                                void **state)
{
    struct call *c = *state;
    if (!c) {
        *state = c = call_new(listener, connection, method, url);
        c->body.full = answers_at_once(c);
        return c->body.full ? run(c, url) : MHD_YES;
    }
    if (*n_part) {
        if (c->body.limit && !c->body.full && !c->crowded)
            c->crowded = !bodies_put(&c->server->bodies, &c->body, part, *n_part);
        *n_part = 0;
        return MHD_YES;
    }
    guard_whole(c->server->guard, c->guest);
    return run(c, url);
}

void http_count_tokens(struct call *c)
{
    struct account took = {.id = NULL};
    if (!c->counted || !c->answer)
        return;
    answer_account(c->answer, &took);
    int n = took.n_prompt_token + took.n_generated;
    key_count_tokens(c->key, n - c->n_token);
    c->n_token = n;
}

static void call_free(struct call *c)
{
    struct account took = {.id = NULL};
    if (c->answer)
        answer_account(c->answer, &took);
    request_log(c, &took);
    http_count_tokens(c);
    if (c->counted)
        key_end(c->key);
    answer_free(c->answer); /* has the key's name */
    key_release(c->key);
    bodies_drop(&c->server->bodies, &c->body);
    free(c);
}

void http_on_completed(void *listener, struct MHD_Connection *connection, void **state,
                       enum MHD_RequestTerminationCode why)
{
    struct call *c = *state;
    if (!c)
        return;
    c->cut = why != MHD_REQUEST_TERMINATED_COMPLETED_OK;
    guard_answered(c->server->guard, c->guest);
    call_free(c);
    *state = NULL;
}
