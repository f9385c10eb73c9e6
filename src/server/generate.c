/* The endpoints that run the model: an exchange for the engine, its events as one JSON object or as a stream of them. */
#include <string.h>
#include "server/answer.h"

enum { STREAM_BLOCK = 16 << 10 };

/* ---- streams ---- */

/* A comment that clients skip: what lies between sees that the connection lives. */
static const char ping[] = ": ping\n\n";

static ssize_t read_stream(void *user, uint64_t position, char *to, size_t n)
{
    struct answer *a = user;
    while (a->at_out == a->out.n) {
        buf_clear(&a->out);
        a->at_out = 0;
        if (a->ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (a->n_done == a->n_choice) {
            http_count_tokens(a->call);
            answer_put_end(a);
            continue;
        }
        enum exchange_take what = answer_take(a);
        if (what == EXCHANGE_SILENCE)
            buf_puts(&a->out, ping);
        else if (what != EXCHANGE_EVENTS)
            return what == EXCHANGE_WAIT ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t left = a->out.n - a->at_out;
    n = n < left ? n : left;
    memcpy(to, a->out.p + a->at_out, n);
    a->at_out += n;
    return (ssize_t)n;
}

static enum MHD_Result begin_stream(struct call *c, struct answer *a)
{
    struct MHD_Response *r =
        mhd.create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, a, NULL);
    a->begun = true;
    for (int i = 0; i < a->n_choice; i++)
        if (a->choices[i].code)
            answer_put_error(a, &a->choices[i]);
    if (r) {
        mhd.add_response_header(r, "Content-Type", "text/event-stream");
        mhd.add_response_header(r, "Cache-Control", "no-cache");
        mhd.add_response_header(r, "X-Accel-Buffering", "no");
    }
    return http_send(c, 200, r, a->ignored);
}

/* ---- answers ---- */

static enum MHD_Result reply_error(struct call *c, const struct choice *of)
{
    metrics_reject(c->server->metrics, refusal_code(of->code) ? refusal_code(of->code) : "other");
    return http_reply(c, (unsigned)lathe_code_http(of->code), answer_error_object(of), NULL);
}

static enum MHD_Result begin(struct call *c, enum api api)
{
    struct asked asked;
    struct refusal no = {0};
    bool ok = ask_read(c, api, &asked, &no);
    if (ok && c->key) /* shares of tokens and cached prefixes are each client's own */
        asked.x->request.tenant = asked.x->request.salt = c->key->tenant;
    if (ok)
        c->answer = answer_new(c, api, &asked);
    ask_free(&asked);
    if (!ok)
        return ask_refused(c, &no);
    dispatch_submit(c->server->dispatch, c->answer->x);
    return MHD_YES;
}

/* Comes back when the connection is resumed. A stream begins with its first event, so that a request which the engine refuses
 * has the status of its error, or after a time without any. */
static enum MHD_Result generate(struct call *c)
{
    enum MHD_Result done = c->answer ? MHD_YES : begin(c, c->endpoint->body);
    struct answer *a = c->answer;
    if (!a)
        return done;
    while (a->n_done < a->n_choice) {
        enum exchange_take what = answer_take(a);
        if (what == EXCHANGE_SILENCE)
            buf_puts(&a->out, ping);
        else if (what != EXCHANGE_EVENTS)
            return what == EXCHANGE_WAIT ? MHD_YES : MHD_NO;
        if (a->stream)
            break;
    }
    const struct choice *error = answer_error(a);
    if (error && a->out.n == 0)
        return reply_error(c, error);
    if (a->stream)
        return begin_stream(c, a);
    http_count_tokens(c);
    json_t *body = a->api == API_EMBED    ? answer_embeddings(a)
                   : a->api == API_RERANK ? answer_reranked(a)
                                          : answer_whole(a);
    return http_reply(c, 200, body, a->ignored);
}

enum MHD_Result endpoint_chat(struct call *c)
{
    return generate(c);
}

enum MHD_Result endpoint_completions(struct call *c)
{
    return generate(c);
}

enum MHD_Result endpoint_embeddings(struct call *c)
{
    return generate(c);
}

enum MHD_Result endpoint_rerank(struct call *c)
{
    return generate(c);
}
