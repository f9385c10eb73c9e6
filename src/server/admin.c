/* The requests that are in flight: a list of them, and the end of one. */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/json_text.h"
#include "server/answer.h"

/* What the engine says of one request, over its choices. */
struct flight {
    int n_generated, n_page, n_cached, n_in_engine;
    enum lathe_request_state state;
};

static const char *const state_names[] = {[LATHE_REQUEST_WAITING] = "waiting",
                                          [LATHE_REQUEST_PREFILL] = "prefill",
                                          [LATHE_REQUEST_DECODE] = "decode",
                                          [LATHE_REQUEST_PREEMPTED] = "preempted"};

/* A request is as far as the choice of it that is furthest: decode before prefill before preempted before waiting. */
static int how_far(enum lathe_request_state s)
{
    static const int rank[] = {[LATHE_REQUEST_WAITING] = 0,
                               [LATHE_REQUEST_PREEMPTED] = 1,
                               [LATHE_REQUEST_PREFILL] = 2,
                               [LATHE_REQUEST_DECODE] = 3};
    return rank[s];
}

static struct flight flight_of(const struct exchange *x, const struct dispatch_row *rows, int n)
{
    struct flight f = {.state = LATHE_REQUEST_WAITING};
    for (int i = 0; i < n; i++) {
        const struct lathe_request_info *info = &rows[i].info;
        if (rows[i].x != x)
            continue;
        f.n_in_engine++;
        f.n_generated += info->n_generated;
        f.n_page += info->n_page;
        f.n_cached += info->n_cached;
        if (how_far(info->state) > how_far(f.state))
            f.state = info->state;
    }
    return f;
}

static json_t *entry_of(const struct answer *a, const struct flight *f)
{
    static const char *const paths[] = {[API_CHAT] = "/v1/chat/completions",
                                        [API_TEXT] = "/v1/completions",
                                        [API_EMBED] = "/v1/embeddings",
                                        [API_RERANK] = "/v1/rerank"};
    double age_ms = 1e-6 * (double)(clock_ns() - a->asked_ns);
    const struct lathe_request *r = &a->x->request;
    return json_pack("{ss ss ss ss? sf ss si si si si si si}", "id", a->request_id, "answer_id", a->id,
                     "path", paths[a->api], "key", a->key, "age_ms", age_ms, "state", state_names[f->state],
                     "choices", a->n_choice, "prompt_tokens", a->n_prompt_token, "generated_tokens",
                     f->n_generated, "cached_tokens", f->n_cached, "pages", f->n_page, "priority",
                     r->priority);
}

enum MHD_Result endpoint_requests(struct call *c)
{
    struct dispatch_row *rows = NULL;
    struct server *s = c->server;
    int n = dispatch_requests(s->dispatch, &rows);
    json_t *list = json_array();
    pthread_mutex_lock(&s->lock);
    for (const struct answer *a = s->answers; a; a = a->next) {
        struct flight f = flight_of(a->x, rows, n);
        json_array_append_new(list, entry_of(a, &f));
    }
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < n; i++)
        exchange_unref(rows[i].x);
    free(rows);
    return http_reply(c, 200, json_pack("{so}", "requests", list), NULL);
}

/* The exchange of the request, with a reference, or NULL. Ids that clients give may be there twice: all of one id are ended. */
static struct exchange *find(struct server *s, const char *id, int skip)
{
    struct exchange *x = NULL;
    pthread_mutex_lock(&s->lock);
    for (struct answer *a = s->answers; a && !x; a = a->next)
        if ((strcmp(a->request_id, id) == 0 || strcmp(a->id, id) == 0) && skip-- == 0)
            x = exchange_ref(a->x);
    pthread_mutex_unlock(&s->lock);
    return x;
}

enum MHD_Result endpoint_cancel(struct call *c)
{
    int n = 0;
    for (struct exchange *x; (x = find(c->server, c->id, n)) != NULL; n++) {
        dispatch_cancel(c->server->dispatch, x);
        exchange_unref(x);
    }
    if (n == 0)
        return http_error(c, 404, "id", "not_found",
                          "no request %.160s is in flight; /admin/requests lists them", c->id);
    return http_reply(c, 200, json_pack("{so si}", "id", json_text(c->id, strlen(c->id)), "cancelled", n),
                      NULL);
}
