/* HTTP as the endpoints see it: a call with its body, and ways to answer it. */
#ifndef LATHE_SERVER_HTTP_H
#define LATHE_SERVER_HTTP_H
#include <jansson.h>
#include "base/mem.h"
#include "server/access.h"
#include "server/bodies.h"
#include "server/dispatch.h"
#include "server/guard.h"
#include "server/metrics.h"
#include "server/tls.h"
#include "server/trace.h"
#include "server/watch.h"

struct answer;

/* An address that is served. */
struct listener {
    struct server *server;
    struct MHD_Daemon *daemon;
    bool requests, operations; /* which endpoints are there */
    char host[64], unix_path[108];
};

struct server {
    const struct server_config *config;
    struct lathe_engine_plan plan;
    struct dispatch *dispatch;
    struct watch *watch;
    struct bodies bodies;
    struct metrics *metrics;
    lathe_chat_cache *chats; /* conversations as token ids */
    struct access *access;
    struct guard *guard;
    struct tls *tls; /* NULL: HTTP */
    struct listener main, admin;
    _Atomic int stall_s;
    _Atomic bool access_log, log_prompts;
    _Atomic bool closing;
    _Atomic int n_answer; /* that their clients have not got whole */
    pthread_mutex_t lock; /* over the list of answers */
    struct answer *answers;
};

/* Whose body a request has: decides which fields of fields.inc it may hold. */
enum api { API_NONE, API_CHAT, API_TEXT, API_EMBED, API_RERANK, API_TOKENIZE, API_DETOKENIZE, API_TEMPLATE };

/* What an endpoint may answer beside 200 and what all may: bits of an endpoint's row. */
enum endpoint_errors {
    MAY_MODEL = 1,  /* 404: there is no such model */
    MAY_ENGINE = 2, /* 499, 500, 503: it was cancelled, failed, or there is too much to do */
    MAY_STREAM = 4, /* 200 may be a stream of events */
    MAY_ID = 8,     /* 404: there is no such thing as the path names */
    MAY_503 = 16    /* 503 in the shape of 200 */
};

/* What an answer took. */
struct account {
    const char *id; /* NULL: it is none that generates */
    int n_prompt_token, n_cached, n_generated;
    double queue_ms, ttft_ms;
};

/* One HTTP request. */
struct call {
    struct server *server;
    const struct listener *listener;
    struct MHD_Connection *connection;
    struct guest *guest;
    const struct endpoint *endpoint; /* NULL: none was found */
    const char *id;                  /* what stands for {id} in the path */
    char allowed[32];                /* methods that the path takes, if it does not take this one */
    struct trace trace;
    const struct key *key;         /* of the client; NULL without keys */
    bool counted;                  /* key_end is due */
    int n_token;                   /* of the answer, counted against its key */
    struct access_refusal refusal; /* status 0: it was let in */
    char method[16], path[160];    /* cut, for the log */
    bool preflight;                /* of a page that may call: asks what it may send */
    double begun_s;
    unsigned status; /* of the answer, 0: none yet */
    bool cut;        /* the client left before it had all */
    struct buf body;
    bool crowded;          /* a part of the body had no room */
    struct answer *answer; /* of an endpoint that generates, once it has begun */
};

/* Rows: method, path, function, who may call it, body, answer, errors, what it is. The function is called when the body is there; if it
 * suspends the connection, again when that is resumed. A path may end in {id}. */
struct endpoint {
    const char *method, *path;
    enum MHD_Result (*run)(struct call *c);
    unsigned role; /* enum key_role that a key needs */
    const char *role_name;
    enum api body;
    const char *answer; /* name in schemas.inc */
    unsigned may;       /* enum endpoint_errors */
    const char *summary;
};
extern const struct endpoint http_endpoints[];
extern const int http_n_endpoint;
#define ENDPOINT(method, path, name, role, body, answer, may, summary) \
    enum MHD_Result endpoint_##name(struct call *c);
#include "server/endpoints.inc"
#undef ENDPOINT

/* A JSON object as text, malloc-ed; NULL if there is none. The object is consumed. */
char *http_json_text(json_t *object);
/* An error in the API's shape; `param` and `code` may be NULL. */
json_t *http_error_object(unsigned status, const char *text, size_t n_text, const char *param,
                          const char *code);
/* Sends a response, which is consumed (NULL is legal), with the headers that every answer has. `ignored`: names of fields
 * that were not understood, for a header; NULL or "" is none. */
enum MHD_Result http_send(struct call *c, unsigned status, struct MHD_Response *r, const char *ignored);
/* Takes the tokens of the call's answer off its key's, before the client has it: its next request finds them gone. */
void http_count_tokens(struct call *c);
/* Answers with a JSON object, which is consumed. */
enum MHD_Result http_reply(struct call *c, unsigned status, json_t *body, const char *ignored);
/* Answers with text of a type, which is consumed (malloc-ed). */
enum MHD_Result http_reply_text(struct call *c, unsigned status, const char *type, char *text, size_t n,
                                const char *ignored);
/* Answers with such an error. */
enum MHD_Result http_error(struct call *c, unsigned status, const char *param, const char *code,
                           const char *format, ...) __attribute__((format(printf, 5, 6)));

/* What the HTTP library calls, with a listener. */
enum MHD_Result http_on_request(void *listener, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *part, size_t *n_part,
                                void **state);
void http_on_completed(void *listener, struct MHD_Connection *connection, void **state,
                       enum MHD_RequestTerminationCode why);
/* What it took so far; the id is the answer's. */
void answer_account(const struct answer *a, struct account *out);
/* Frees what a generating endpoint left behind, and ends its work if the client has gone. */
void answer_free(struct answer *a);
#endif
