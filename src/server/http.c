/* HTTP: listening, routing, bodies, answers. */
#include "server/http.h"
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include "base/json_text.h"

enum { MAX_CONNECTION = 2048, IDLE_S = 60, HTTP_THREADS = 2, PING_MS = 15000 };

const struct endpoint http_endpoints[] = {
#define ENDPOINT(method, path, name, role, body, answer, may, summary) \
    {#method, path, endpoint_##name, #role, API_##body, #answer, may, summary},
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

/* Whole seconds until what waits now has been computed, by the measured rate. */
static void add_retry_after(const struct call *c, struct MHD_Response *r)
{
    struct lathe_engine_stats s;
    char seconds[16];
    dispatch_stats(c->server->dispatch, &s);
    double wait = s.prefill_rate > 0 ? (double)s.n_waiting_token / s.prefill_rate : 1;
    snprintf(seconds, sizeof seconds, "%.0f", ceil(wait < 1 ? 1 : wait > 3600 ? 3600 : wait));
    mhd.add_response_header(r, "Retry-After", seconds);
}

enum MHD_Result http_send(struct call *c, unsigned status, struct MHD_Response *r, const char *ignored)
{
    if (!r)
        return MHD_NO;
    add_header(r, "X-Request-Id", c->trace.id);
    add_header(r, "traceparent", c->trace.parent);
    add_header(r, "X-Lathe-Ignored-Fields", ignored);
    add_header(r, "Allow", c->allowed);
    if (status == 429 || status == 503)
        add_retry_after(c, r);
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

/* Whether the Host header names this machine: a page of a foreign site that had its name pointed at a loopback address
 * does not. Not asked where others are let in anyway. */
static bool host_is_ours(const struct call *c)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    const struct server_config *config = c->server->config;
    const char *host = mhd.lookup_connection_value(c->connection, MHD_HEADER_KIND, "Host");
    if (config->insecure || !host)
        return true;
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (n == strlen(names[i]) && strncasecmp(host, names[i], n) == 0)
            return true;
    return n == strlen(config->host) && strncasecmp(host, config->host, n) == 0;
}

/* Whether the path is the row's; *id is what stands for its {id}. */
static bool path_matches(const struct endpoint *e, const char *path, const char **id)
{
    size_t n = strcspn(e->path, "{");
    *id = path + n;
    return e->path[n] ? strncmp(e->path, path, n) == 0 && path[n] && !strchr(path + n, '/')
                      : strcmp(e->path, path) == 0;
}

static enum MHD_Result run(struct call *c, const char *method, const char *path)
{
    if (!host_is_ours(c))
        return http_error(c, 403, NULL, "bad_host", "the Host header does not name this server");
    if (c->body.full)
        return http_error(c, 413, NULL, "too_large", "the body is larger than %.1f MiB",
                          (double)c->server->bodies.each / 1048576.0);
    if (c->crowded)
        return http_error(c, 503, NULL, "too_much_at_once",
                          "the bodies of %.1f MiB that may come at once are here",
                          (double)c->server->bodies.all / 1048576.0);
    for (const struct endpoint *e = http_endpoints; e < http_endpoints + http_n_endpoint; e++) {
        if (!path_matches(e, path, &c->id))
            continue;
        c->endpoint = e;
        if (strcmp(e->method, method) == 0) {
            enum MHD_Result done = e->run(c);
            bodies_drop(&c->server->bodies, &c->body); /* it is read: an answer may take long */
            return done;
        }
        size_t n = strlen(c->allowed);
        snprintf(c->allowed + n, sizeof c->allowed - n, "%s%s", n ? ", " : "", e->method);
    }
    if (*c->allowed)
        return http_error(c, 405, NULL, "method_not_allowed", "%.200s does not take this method", path);
    return http_error(c, 404, NULL, "not_found", "there is no %.200s here", path);
}

/* The library calls this when the headers are there, for every part of the body, at its end, and after a resume. */
static enum MHD_Result on_request(void *server, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *part, size_t *n_part,
                                  void **state)
{
    struct call *c = *state;
    if (!c) {
        c = *state = mem_new(sizeof *c);
        *c = (struct call){.server = server, .connection = connection};
        trace_read(&c->trace, mhd.lookup_connection_value(connection, MHD_HEADER_KIND, "X-Request-Id"),
                   mhd.lookup_connection_value(connection, MHD_HEADER_KIND, "traceparent"));
        buf_init(&c->body, c->server->bodies.each);
        return MHD_YES;
    }
    if (*n_part) {
        if (!c->body.full && !c->crowded)
            c->crowded = !bodies_put(&c->server->bodies, &c->body, part, *n_part);
        *n_part = 0;
        return MHD_YES;
    }
    return run(c, method, url);
}

static void on_completed(void *server, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    struct call *c = *state;
    if (!c)
        return;
    answer_free(c->answer);
    bodies_drop(&c->server->bodies, &c->body);
    free(c);
    *state = NULL;
}

static void on_gone(void *user, struct exchange *x)
{
    struct server *s = user;
    dispatch_cancel(s->dispatch, x);
    exchange_hang_up(x);
}

/* ---- start ---- */

static bool address_of(const struct server_config *c, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, c->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)c->port);
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)c->port);
    return inet_pton(AF_INET6, c->host, &v6->sin6_addr) == 1;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

int http_start(struct server *s, struct lathe_err *err)
{
    const struct server_config *c = s->config;
    struct sockaddr_storage address;
    if (!address_of(c, &address))
        return err_set(err, LATHE_E_USAGE, "--host %s is no numeric address such as 127.0.0.1 or ::1",
                       c->host);
    if (!is_loopback(&address) && !c->insecure)
        return err_set(err, LATHE_E_USAGE,
                       "--host %s can be reached by others and there are no keys: --insecure allows that",
                       c->host);
    TRY(watch_new(on_gone, s, c->ping_ms ? c->ping_ms : PING_MS, &s->watch, err));
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    if (address.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    s->daemon =
        mhd.start_daemon(flags, (uint16_t)c->port, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR,
                         (struct sockaddr *)&address, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)HTTP_THREADS,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTION, MHD_OPTION_CONNECTION_TIMEOUT,
                         (unsigned)IDLE_S, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (!s->daemon)
        return err_set(err, LATHE_E_IO, "%s port %d cannot be served: %s; --port chooses another", c->host,
                       c->port, strerror(errno));
    return 0;
}
