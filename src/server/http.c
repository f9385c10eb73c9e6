/* HTTP: listening, routing, bodies, answers. */
#include "server/http.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include "base/json_text.h"

enum { MAX_CONNECTION = 2048, IDLE_S = 60, HTTP_THREADS = 2 };

static const struct endpoint endpoints[] = {
#define ENDPOINT(method, path, name, summary) {#method, path, endpoint_##name, summary},
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
    enum MHD_Result done = mhd.queue_response(c->connection, status, r);
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

static enum MHD_Result run(struct call *c, const char *method, const char *path)
{
    bool path_is_known = false;
    if (!host_is_ours(c))
        return http_error(c, 403, NULL, "bad_host", "the Host header does not name this server");
    if (c->body.full)
        return http_error(c, 413, NULL, "too_large", "the body is larger than %.1f MiB",
                          (double)c->server->bodies.each / 1048576.0);
    if (c->crowded)
        return http_error(c, 503, NULL, "too_much_at_once",
                          "the bodies of %.1f MiB that may come at once are here",
                          (double)c->server->bodies.all / 1048576.0);
    for (int i = 0; i < N_ENDPOINT; i++) {
        if (strcmp(endpoints[i].path, path) != 0)
            continue;
        path_is_known = true;
        if (strcmp(endpoints[i].method, method) != 0)
            continue;
        enum MHD_Result done = endpoints[i].run(c);
        bodies_drop(&c->server->bodies, &c->body); /* it is read: an answer may take long */
        return done;
    }
    if (path_is_known)
        return http_error(c, 405, NULL, "method_not_allowed", "%s does not take this method", path);
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
    TRY(watch_new(on_gone, s, &s->watch, err));
    /* Not epoll: the library waits for its edges, and when a client's end comes with the last bytes that it sent the edge
     * is gone; the connection is then held until its time is over. Poll costs 0.1 ms a step with 1000 idle ones. */
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
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
