/* The access log. */
#include "server/request_log.h"
#include "base/clock.h"

enum { BODY_LOGGED = 4096, STATUS_LEFT = 499 };

void request_log(const struct call *c, const struct account *took)
{
    struct log_line l;
    if (!c->server->access_log || !log_begin(&l, LOG_INFO, "request"))
        return;
    log_text(&l, "id", took->id);
    log_text(&l, "request_id", c->trace.id);
    log_text(&l, "key", c->key ? c->key->name : NULL);
    log_text(&l, "method", c->method);
    log_text(&l, "route", c->path);
    log_number(&l, "status", c->status ? c->status : STATUS_LEFT);
    if (c->cut)
        log_text(&l, "end", "the client left");
    if (took->id) {
        log_number(&l, "prompt_tokens", took->n_prompt_token);
        log_number(&l, "cached_tokens", took->n_cached);
        log_number(&l, "completion_tokens", took->n_generated);
        log_number(&l, "queue_ms", took->queue_ms);
        log_number(&l, "ttft_ms", took->ttft_ms);
    }
    log_number(&l, "total_ms", (clock_s() - c->begun_s) * 1e3);
    if (c->server->log_prompts && c->body.n)
        log_bytes(&l, "body", c->body.p, c->body.n < BODY_LOGGED ? c->body.n : BODY_LOGGED);
    log_end(&l);
}
