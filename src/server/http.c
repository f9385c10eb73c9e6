/* HTTP: routing, bodies, answers. */
#include "server/http.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/json_text.h"
#include "server/request_log.h"

static const struct endpoint endpoints[] = {
#define ENDPOINT(method, path, role, name, summary) {#method, path, ROLE_##role, endpoint_##name, summary},
#include "server/endpoints.inc"
#undef ENDPOINT
};
enum { N_ENDPOINT = sizeof endpoints / sizeof *endpoints };

/* ---- answers ---- */

void http_add_ignored(struct MHD_Response *r, const char *names)
{
    if (names && *names)
        mhd.add_response_header(r, "X-Lathe-Ignored-Fields", names);
}

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

static const char *header_of(const struct call *c, const char *name)
{
    return mhd.lookup_connection_value(c->connection, MHD_HEADER_KIND, name);
}

enum MHD_Result http_queue(struct call *c, unsigned status, struct MHD_Response *r)
{
    const char *origin = header_of(c, "Origin");
    if (access_origin(c->server->access, origin)) {
        mhd.add_response_header(r, "Access-Control-Allow-Origin", origin);
        mhd.add_response_header(r, "Access-Control-Expose-Headers", "*");
        mhd.add_response_header(r, "Vary", "Origin");
    }
    c->status = status;
    return mhd.queue_response(c->connection, status, r);
}

enum MHD_Result http_reply(struct call *c, unsigned status, json_t *body, const char *ignored)
{
    char *text = http_json_text(body);
    struct MHD_Response *r =
        text ? mhd.create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!r) {
        free(text);
        return MHD_NO;
    }
    mhd.add_response_header(r, "Content-Type", "application/json");
    http_add_ignored(r, ignored);
    if (status == c->refusal.status && status == 401)
        mhd.add_response_header(r, "WWW-Authenticate", "Bearer");
    if (status == c->refusal.status && c->refusal.retry_s) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%d", c->refusal.retry_s);
        mhd.add_response_header(r, "Retry-After", seconds);
    }
    enum MHD_Result done = http_queue(c, status, r);
    mhd.destroy_response(r);
    return done;
}

enum MHD_Result http_error(struct call *c, unsigned status, const char *param, const char *code,
                           const char *format, ...)
{
    char text[640];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return http_reply(c, status, http_error_object(status, text, strlen(text), param, code), NULL);
}

/* ---- requests ---- */

/* The endpoint of a path on this listener, of the method if there is one; *known: there is one of some method. */
static const struct endpoint *find_endpoint(const struct listener *l, const char *method, const char *path,
                                            bool *known)
{
    const struct endpoint *found = NULL;
    *known = false;
    for (int i = 0; i < N_ENDPOINT; i++) {
        bool here = endpoints[i].role & ROLE_INFER ? l->requests : l->operations;
        if (!here || strcmp(endpoints[i].path, path) != 0)
            continue;
        *known = true;
        if (strcmp(endpoints[i].method, method) == 0)
            found = &endpoints[i];
    }
    return found;
}

/* What a page of another origin may do, for a browser that asks before. */
static enum MHD_Result answer_preflight(struct call *c)
{
    struct MHD_Response *r = mhd.create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    if (!r)
        return MHD_NO;
    mhd.add_response_header(r, "Access-Control-Allow-Methods", "GET, POST, DELETE");
    mhd.add_response_header(r, "Access-Control-Allow-Headers",
                            "Authorization, Content-Type, X-Api-Key, X-Request-Id, traceparent");
    mhd.add_response_header(r, "Access-Control-Max-Age", "600");
    enum MHD_Result done = http_queue(c, 204, r);
    mhd.destroy_response(r);
    return done;
}

static enum MHD_Result run(struct call *c, const char *method, const char *path)
{
    bool known;
    if (c->preflight)
        return answer_preflight(c);
    if (c->refusal.status)
        return http_error(c, c->refusal.status, NULL, c->refusal.code, "%s", c->refusal.text);
    if (c->body.full && c->endpoint)
        return http_error(c, 413, NULL, "too_large", "the body is larger than %d MiB",
                          c->server->config->max_body_mib);
    if (c->endpoint)
        return c->endpoint->run(c);
    find_endpoint(c->listener, method, path, &known);
    if (known)
        return http_error(c, 405, NULL, "method_not_allowed", "%s does not take this method", path);
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
    c->endpoint = find_endpoint(l, method, path, &ask.known);
    c->preflight = strcmp(method, "OPTIONS") == 0 && header_of(c, "Access-Control-Request-Method") &&
                   access_origin(l->server->access, header_of(c, "Origin"));
    ask.known = c->endpoint != NULL;
    ask.roles = c->endpoint ? c->endpoint->role : ROLE_NONE;
    ask.counts = c->endpoint && c->endpoint->role == ROLE_INFER && strcmp(method, "POST") == 0;
    if (!c->preflight)
        access_check(l->server->access, &ask, &c->key, &c->refusal);
    c->counted = c->key && ask.counts && !c->refusal.status;
    bool keeps = c->endpoint && !c->refusal.status && !c->preflight;
    buf_init(&c->body, keeps ? (size_t)l->server->config->max_body_mib << 20 : 0);
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
        return c->body.full ? run(c, method, url) : MHD_YES;
    }
    if (*n_part) {
        if (c->body.limit && !c->body.full)
            buf_put(&c->body, part, *n_part);
        *n_part = 0;
        return MHD_YES;
    }
    guard_whole(c->server->guard, c->guest);
    return run(c, method, url);
}

static void call_free(struct call *c)
{
    struct account took = {.id = NULL};
    if (c->answer)
        answer_account(c->answer, &took);
    request_log(c, &took);
    if (c->counted) {
        key_count_tokens(c->key, took.n_prompt_token + took.n_generated);
        key_end(c->key);
    }
    key_release(c->key);
    answer_free(c->answer);
    buf_free(&c->body);
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
