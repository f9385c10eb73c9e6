/* HTTP as the endpoints see it: a call with its body, and ways to answer it. */
#ifndef LATHE_SERVER_HTTP_H
#define LATHE_SERVER_HTTP_H
#include <jansson.h>
#include "base/mem.h"
#include "server/bodies.h"
#include "server/dispatch.h"
#include "server/server.h"
#include "server/watch.h"

struct server {
    const struct server_config *config;
    struct lathe_engine_plan plan;
    struct dispatch *dispatch;
    struct watch *watch;
    struct MHD_Daemon *daemon;
    struct bodies bodies;
    _Atomic bool closing;
    _Atomic int n_answer; /* that their clients have not got whole */
};

struct answer;

/* One HTTP request. */
struct call {
    struct server *server;
    struct MHD_Connection *connection;
    struct buf body;
    bool crowded;          /* a part of the body had no room */
    struct answer *answer; /* of an endpoint that generates, once it has begun */
};

/* Rows: method, path, function, what it is. The function is called when the body is there; if it suspends the
 * connection, again when that is resumed. */
struct endpoint {
    const char *method, *path;
    enum MHD_Result (*run)(struct call *c);
    const char *summary;
};
#define ENDPOINT(method, path, name, summary) enum MHD_Result endpoint_##name(struct call *c);
#include "server/endpoints.inc"
#undef ENDPOINT

/* A JSON object as text, malloc-ed; NULL if there is none. The object is consumed. */
char *http_json_text(json_t *object);
/* An error in the API's shape; `param` and `code` may be NULL. */
json_t *http_error_object(unsigned status, const char *text, size_t n_text, const char *param,
                          const char *code);
/* Answers with a JSON object, which is consumed. `ignored`: names of fields that were not understood, for a header; NULL
 * or "" is none. */
enum MHD_Result http_reply(struct call *c, unsigned status, json_t *body, const char *ignored);
void http_add_ignored(struct MHD_Response *r, const char *names);
/* Answers with such an error. */
enum MHD_Result http_error(struct call *c, unsigned status, const char *param, const char *code,
                           const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Starts the listening threads of s->daemon. */
int http_start(struct server *s, struct lathe_err *err);
/* Frees what a generating endpoint left behind, and ends its work if the client has gone. */
void answer_free(struct answer *a);
#endif
