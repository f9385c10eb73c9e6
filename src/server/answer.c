/* An answer that is being generated: events in, text, log probabilities and counts out. */
#include "server/answer.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "server/logprobs.h"

enum { OUT_LIMIT = 1 << 30 };

/* ---- life ---- */

static void enlist(struct server *s, struct answer *a)
{
    pthread_mutex_lock(&s->lock);
    a->next = s->answers;
    a->link = &s->answers;
    if (a->next)
        a->next->link = &a->next;
    s->answers = a;
    pthread_mutex_unlock(&s->lock);
    s->n_answer++;
}

static void delist(struct answer *a)
{
    pthread_mutex_lock(&a->server->lock);
    *a->link = a->next;
    if (a->next)
        a->next->link = a->link;
    pthread_mutex_unlock(&a->server->lock);
    a->server->n_answer--;
}

void answer_free(struct answer *a)
{
    if (!a)
        return;
    for (int i = 0; i < a->n_choice; i++)
        if (!a->choices[i].done)
            metrics_count(a->server->metrics, M_FINISH_ABORT);
    if (a->n_done < a->n_choice) {
        exchange_hang_up(a->x);
        dispatch_cancel(a->server->dispatch, a->x);
    }
    delist(a);
    for (int i = 0; i < a->n_choice; i++) {
        buf_free(&a->choices[i].text);
        json_decref(a->choices[i].logprobs);
    }
    exchange_unref(a->x);
    buf_free(&a->events);
    buf_free(&a->out);
    free(a->choices);
    free(a->ignored);
    free(a);
}

void answer_account(const struct answer *a, struct account *out)
{
    *out = (struct account){.id = a->id,
                            .n_prompt_token = a->n_prompt_token,
                            .n_cached = a->n_cached,
                            .n_generated = a->n_generated,
                            .queue_ms = a->timings.queue_ms,
                            .ttft_ms = a->timings.queue_ms + a->timings.prefill_ms};
    for (int i = 0; i < a->n_choice; i++) /* of a client that left, too */
        out->n_generated += a->choices[i].done ? 0 : a->choices[i].n_token;
}

static void begin_choice(struct answer *a, int i)
{
    struct choice *c = &a->choices[i];
    buf_init(&c->text, OUT_LIMIT);
    if (a->x->request.n_logprob >= 0)
        c->logprobs = logprobs_new(a->api);
    if (a->echo && !a->stream) {
        const struct exchange_prompt *p = &a->x->prompts[i / a->x->n_candidate];
        buf_put(&c->text, p->text, p->n_text);
    }
}

struct answer *answer_new(struct call *c, enum api api, struct asked *asked)
{
    static const char *const prefix[] = {
        [API_CHAT] = "chatcmpl", [API_TEXT] = "cmpl", [API_EMBED] = "embd", [API_RERANK] = "rank"};
    struct answer *a = mem_new(sizeof *a);
    char random[17];
    *a = (struct answer){.api = api,
                         .stream = asked->stream,
                         .include_usage = asked->include_usage,
                         .echo = asked->echo,
                         .base64 = asked->base64,
                         .top_n = asked->top_n,
                         .raw_scores = asked->raw_scores,
                         .server = c->server,
                         .call = c,
                         .x = exchange_ref(asked->x),
                         .n_choice = exchange_n_choice(asked->x),
                         .asked_ns = clock_ns(),
                         .key = c->key ? c->key->name : NULL,
                         .created = time(NULL),
                         .ignored = mem_dup(asked->ignored.p ? asked->ignored.p : "", asked->ignored.n)};
    a->x->tells_silence = a->stream;
    a->choices = mem_new((size_t)a->n_choice * sizeof *a->choices);
    for (int i = 0; i < a->n_choice; i++)
        begin_choice(a, i);
    for (int i = 0; i < a->x->n_prompt; i++)
        a->n_prompt_token += (int)a->x->prompts[i].n_ids;
    buf_init(&a->events, OUT_LIMIT);
    buf_init(&a->out, OUT_LIMIT);
    trace_random_hex(random, 8);
    snprintf(a->id, sizeof a->id, "%s-%s", prefix[api], random);
    snprintf(a->request_id, sizeof a->request_id, "%s", c->trace.id);
    enlist(c->server, a);
    return a;
}

/* ---- events ---- */

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? 1e-9 * (double)(to_ns - from_ns) : 0;
}

static void observe_token(struct answer *a, struct choice *c, const struct exchange_event *e)
{
    c->n_token++;
    if (c->token_at_ns)
        metrics_observe(a->server->metrics, M_ITL, seconds(c->token_at_ns, e->at_ns));
    else
        metrics_observe(a->server->metrics, M_TTFT, seconds(a->asked_ns, e->at_ns));
    c->token_at_ns = e->at_ns;
}

static void observe_end(struct answer *a, const struct choice *c, const struct exchange_event *e)
{
    struct metrics *m = a->server->metrics;
    if (c->code) {
        metrics_count(m, c->code == LATHE_E_CANCELLED ? M_FINISH_ABORT : M_FINISH_ERROR);
        return;
    }
    metrics_count(m, c->finish == LATHE_FINISH_LENGTH ? M_FINISH_LENGTH : M_FINISH_STOP);
    metrics_observe(m, M_E2E, seconds(a->asked_ns, e->at_ns));
    metrics_observe(m, M_QUEUE, e->timings.queue_ms / 1e3);
    metrics_observe(m, M_PREFILL, e->timings.prefill_ms / 1e3);
    metrics_observe(m, M_DECODE, e->timings.decode_ms / 1e3);
    metrics_observe(m, M_PROMPT, e->timings.n_prompt);
    metrics_observe(m, M_GENERATED, e->timings.n_generated);
}

static void take_end(struct answer *a, struct choice *c, const struct exchange_event *e)
{
    c->done = true;
    c->finish = e->finish;
    c->code = e->finish == LATHE_FINISH_CANCELLED ? LATHE_E_CANCELLED : e->code;
    a->n_done++;
    a->n_generated += e->timings.n_generated;
    a->n_cached += e->timings.n_cached;
    a->timings.queue_ms = fmax(a->timings.queue_ms, e->timings.queue_ms);
    a->timings.prefill_ms = fmax(a->timings.prefill_ms, e->timings.prefill_ms);
    a->timings.decode_ms = fmax(a->timings.decode_ms, e->timings.decode_ms);
    observe_end(a, c, e);
}

/* Whether the event's token is listed: the one that ends an answer is not part of it. With echo it is, since clients that
 * score a text count on a place for each token. */
static bool lists(const struct answer *a, const struct choice *c, const struct exchange_event *e)
{
    bool ends = e->kind == LATHE_EVENT_TOKEN && !a->x->request.ignore_eos && !a->echo &&
                lathe_vocab_is_eog(lathe_model_vocab(a->server->config->model), e->token);
    return e->kind != LATHE_EVENT_DONE && c->logprobs && !ends;
}

static void take_error(struct answer *a, struct choice *c, const char *text, size_t n)
{
    static const char cancelled[] = "the request was cancelled by an administrator";
    buf_clear(&c->text);
    if (c->code == LATHE_E_CANCELLED)
        buf_puts(&c->text, cancelled);
    else
        buf_put(&c->text, text, n);
    if (a->begun)
        answer_put_error(a, c);
}

static void take_event(struct answer *a, const struct exchange_event *e, const struct lathe_logprob *top,
                       const char *text)
{
    struct choice *c = &a->choices[e->choice];
    bool listed = lists(a, c, e);
    if (e->kind == LATHE_EVENT_TOKEN)
        observe_token(a, c, e);
    if (e->kind == LATHE_EVENT_DONE)
        take_end(a, c, e);
    if (listed)
        logprobs_add(c->logprobs, a->api, lathe_model_vocab(a->server->config->model), e, top, &c->offset);
    if (c->code) {
        take_error(a, c, text, e->n_text);
        return;
    }
    if (!a->stream)
        buf_put(&c->text, text, e->n_text);
    else if (e->kind != LATHE_EVENT_PROMPT && (e->n_text || listed || c->done))
        answer_put_text(a, e->choice, text, e->n_text);
}

enum exchange_take answer_take(struct answer *a)
{
    const struct exchange_event *e;
    const struct lathe_logprob *top;
    const char *text;
    size_t at = 0;
    enum exchange_take what = exchange_take(a->x, &a->events);
    while (what == EXCHANGE_EVENTS && (e = exchange_next(&a->events, &at, &top, &text)))
        take_event(a, e, top, text);
    return what;
}

const struct choice *answer_error(const struct answer *a)
{
    for (int i = 0; i < a->n_choice; i++)
        if (a->choices[i].code)
            return &a->choices[i];
    return NULL;
}
