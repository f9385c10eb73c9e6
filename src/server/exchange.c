/* A request on its way between an HTTP thread and the engine's thread. */
#include "server/exchange.h"
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "server/watch.h"

enum { EVENTS_LIMIT = 1 << 30 }; /* far above what a context of tokens takes */

struct exchange *exchange_new(struct MHD_Connection *connection, struct watch *watch)
{
    struct exchange *x = mem_new(sizeof *x);
    x->n_ref = 1;
    pthread_mutex_init(&x->lock, NULL);
    x->connection = connection;
    x->watch = watch;
    x->n_candidate = 1;
    buf_init(&x->events, EVENTS_LIMIT);
    lathe_request_init(&x->request);
    return x;
}

struct exchange *exchange_ref(struct exchange *x)
{
    atomic_fetch_add(&x->n_ref, 1);
    return x;
}

void exchange_unref(struct exchange *x)
{
    if (!x || atomic_fetch_sub(&x->n_ref, 1) > 1)
        return;
    for (int i = 0; i < x->n_prompt; i++) {
        free(x->prompts[i].ids);
        free(x->prompts[i].text);
    }
    for (int i = 0; i < EXCHANGE_MAX_STOP; i++)
        free(x->stop[i]);
    free(x->prompts);
    free(x->bias);
    free(x->ids);
    buf_free(&x->events);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

/* With the lock held. */
static void resume(struct exchange *x)
{
    if (!x->suspended)
        return;
    x->suspended = false;
    watch_remove(x->watch, x);
    mhd.resume_connection(x->connection);
}

void exchange_put(struct exchange *x, const struct exchange_event *e, const struct lathe_logprob *top,
                  const char *text)
{
    static const char zeros[8];
    struct exchange_event timed = *e;
    timed.at_ns = clock_ns();
    pthread_mutex_lock(&x->lock);
    if (!x->gone) {
        buf_put(&x->events, &timed, sizeof timed);
        buf_put(&x->events, top, (size_t)e->n_top * sizeof *top);
        buf_put(&x->events, text, e->n_text);
        buf_put(&x->events, zeros, -e->n_text % 8);
        resume(x);
    }
    pthread_mutex_unlock(&x->lock);
}

enum exchange_take exchange_take(struct exchange *x, struct buf *into)
{
    enum exchange_take what = EXCHANGE_EVENTS;
    buf_clear(into);
    pthread_mutex_lock(&x->lock);
    if (x->gone) {
        what = EXCHANGE_GONE;
    } else if (x->events.n > 0) {
        struct buf empty = *into;
        *into = x->events;
        x->events = empty;
    } else if (x->silent) {
        what = EXCHANGE_SILENCE;
    } else {
        what = EXCHANGE_WAIT;
        x->suspended = true;
        mhd.suspend_connection(x->connection);
        watch_add(x->watch, x);
    }
    x->silent = false;
    pthread_mutex_unlock(&x->lock);
    return what;
}

_Static_assert(sizeof(struct exchange_event) % 8 == 0 && sizeof(struct lathe_logprob) % 8 == 0,
               "parts stay aligned");

const struct exchange_event *exchange_next(const struct buf *events, size_t *at,
                                           const struct lathe_logprob **top, const char **text)
{
    if (*at >= events->n)
        return NULL;
    const struct exchange_event *e = (const struct exchange_event *)(events->p + *at);
    *top = (const struct lathe_logprob *)(e + 1);
    *text = (const char *)(*top + e->n_top);
    *at = (size_t)(*text - events->p) + (e->n_text + 7) / 8 * 8;
    return e;
}

void exchange_end_silence(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    x->silent = x->suspended;
    resume(x);
    pthread_mutex_unlock(&x->lock);
}

void exchange_hang_up(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    x->gone = true;
    resume(x);
    pthread_mutex_unlock(&x->lock);
}
