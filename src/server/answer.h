/* An answer that is being generated: what has come of each choice, and its shapes in the APIs. */
#ifndef LATHE_SERVER_ANSWER_H
#define LATHE_SERVER_ANSWER_H
#include <time.h>
#include "server/ask.h"

/* What has come of one choice. */
struct choice {
    struct buf text; /* not streamed; of an error its words */
    enum lathe_finish finish;
    int code; /* of an error */
    bool done, begun;
    json_t *logprobs;     /* of the tokens that have not been sent; NULL if none are asked for */
    int offset;           /* characters of the tokens so far */
    int n_token;          /* so far */
    uint64_t token_at_ns; /* when the newest token came; 0: none has */
};

struct answer {
    enum api api;
    bool stream, include_usage, echo, base64, raw_scores, begun, ended;
    int top_n; /* 0: all */
    struct server *server;
    struct call *call; /* whose answer it is */
    struct exchange *x;
    struct choice *choices;
    int n_choice, n_done, n_prompt_token, n_cached, n_generated;
    struct lathe_timings timings; /* of the choice that took longest in each */
    uint64_t asked_ns;
    const char *key; /* name of the client's; NULL without keys */
    char id[32], request_id[129];
    time_t created;
    char *ignored;
    struct buf events, out; /* out: streamed bytes that the client has not got yet, from at_out on */
    size_t at_out;
    struct answer *next, **link; /* in the server's list */
};

struct answer *answer_new(struct call *c, enum api api, struct asked *asked);
/* Takes what there is. */
enum exchange_take answer_take(struct answer *a);
/* The first choice that ended in an error, or NULL. */
const struct choice *answer_error(const struct answer *a);

/* ---- shapes (answer_json.c) ---- */
/* A chunk with new text of a choice, and its end if it is done, into a->out; the error it ended in; what ends a stream. */
void answer_put_text(struct answer *a, int i, const char *text, size_t n);
void answer_put_error(struct answer *a, const struct choice *c);
void answer_put_end(struct answer *a);
json_t *answer_whole(const struct answer *a);
json_t *answer_error_object(const struct choice *c);
json_t *answer_embeddings(const struct answer *a);
json_t *answer_reranked(const struct answer *a);
json_t *answer_timings(const struct answer *a);
#endif
