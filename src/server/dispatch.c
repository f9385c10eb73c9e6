/* The engine's thread. */
#include "server/dispatch.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"

/* A choice in the engine. */
struct entry {
    uint64_t id;
    struct exchange *x;
    int choice;
};

struct dispatch {
    lathe_engine *engine;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct exchange *intake, *intake_tail; /* under the lock, as the next three */
    struct exchange **cancels;
    int n_cancel, cap_cancel;
    bool closed, stop;
    bool busy;                       /* the thread holds work */
    uint64_t moved_ns;               /* when it last took work or ended a step */
    int stall_ms;                    /* of a test: the first step is so late */
    struct lathe_engine_stats stats; /* under the lock, as the next three */
    pthread_cond_t listed;
    struct dispatch_row *rows; /* of whoever wants them; n_row is their count once they are there */
    int n_row;
    bool want_rows;
    struct entry *entries; /* the thread's own */
    int n_entry, cap_entry;
    _Atomic bool broken;
};

static void put_end(struct exchange *x, int choice, int code, enum lathe_finish finish,
                    const struct lathe_timings *timings, const char *text, size_t n_text)
{
    struct exchange_event e = {
        .choice = choice, .kind = LATHE_EVENT_DONE, .finish = finish, .code = code, .n_text = n_text};
    if (timings)
        e.timings = *timings;
    exchange_put(x, &e, NULL, text);
}

static void put_error(struct exchange *x, int choice, const struct lathe_err *err)
{
    put_end(x, choice, err->code, LATHE_FINISH_ERROR, NULL, err->text, strlen(err->text));
}

static void close_choice(struct exchange *x, int choice)
{
    x->ids[choice] = 0;
    if (--x->n_open == 0)
        exchange_unref(x);
}

/* One choice into the engine. */
static void enter(struct dispatch *d, struct exchange *x, int choice)
{
    struct lathe_request r = x->request;
    struct lathe_err err;
    const struct exchange_prompt *p = &x->prompts[choice / x->n_candidate];
    r.ids = p->ids;
    r.n_ids = p->n_ids;
    r.second_at = p->second_at;
    r.logits_from = (int)p->n_ids - 1;
    r.candidate = (uint32_t)(choice % x->n_candidate);
    if (lathe_engine_submit(d->engine, &r, &x->ids[choice], &err)) {
        put_error(x, choice, &err);
        close_choice(x, choice);
        return;
    }
    if (d->n_entry == d->cap_entry) {
        d->cap_entry = d->cap_entry ? 2 * d->cap_entry : 64;
        d->entries = mem_grow(d->entries, (size_t)d->cap_entry * sizeof *d->entries);
    }
    d->entries[d->n_entry++] = (struct entry){x->ids[choice], x, choice};
}

static void take_in(struct dispatch *d, struct exchange *list)
{
    for (struct exchange *x = list, *next; x; x = next) {
        int n = exchange_n_choice(x);
        next = x->next;
        x->ids = mem_new((size_t)n * sizeof *x->ids);
        x->n_open = n;
        exchange_ref(x);
        for (int i = 0; i < n; i++)
            enter(d, x, i);
        exchange_unref(x);
    }
}

static int step(struct dispatch *d, struct lathe_err *err);

/* All choices of the exchange that are in the engine end at its next step. */
static void cancel(struct dispatch *d, struct exchange *x)
{
    struct lathe_err err;
    for (int i = 0; x->ids && i < exchange_n_choice(x); i++)
        while (x->ids[i] && !lathe_engine_cancel(d->engine, x->ids[i]))
            if (step(d, &err) < 0) /* as many wait as it holds */
                return;
}

static void deliver(struct dispatch *d, const struct lathe_event *e)
{
    int i = 0;
    while (i < d->n_entry && d->entries[i].id != e->id)
        i++;
    if (i == d->n_entry)
        return;
    struct entry at = d->entries[i];
    if (e->kind != LATHE_EVENT_DONE) {
        struct exchange_event out = {.choice = at.choice,
                                     .kind = e->kind,
                                     .token = e->token,
                                     .logprob = e->logprob,
                                     .n_top = e->n_top,
                                     .n_text = e->n_text};
        exchange_put(at.x, &out, e->top, e->text);
        return;
    }
    d->entries[i] = d->entries[--d->n_entry];
    if (e->finish == LATHE_FINISH_ERROR)
        put_error(at.x, at.choice, &e->err);
    else if (e->embedding)
        put_end(at.x, at.choice, 0, e->finish, &e->timings, (const char *)e->embedding,
                (size_t)e->n_embedding * sizeof *e->embedding);
    else
        put_end(at.x, at.choice, 0, e->finish, &e->timings, e->text, e->n_text);
    close_choice(at.x, at.choice);
}

static int step(struct dispatch *d, struct lathe_err *err)
{
    struct lathe_event e;
    int n = lathe_engine_step(d->engine, err);
    pthread_mutex_lock(&d->lock); /* before its events: who has an answer finds it counted */
    lathe_engine_get_stats(d->engine, &d->stats);
    pthread_mutex_unlock(&d->lock);
    while (n >= 0 && lathe_engine_poll(d->engine, &e))
        deliver(d, &e);
    return n;
}

/* The engine itself failed: everybody is told, and nothing is served any more. */
static void give_up(struct dispatch *d, const struct lathe_err *err)
{
    d->broken = true;
    while (d->n_entry) {
        struct entry at = d->entries[--d->n_entry];
        put_error(at.x, at.choice, err);
        close_choice(at.x, at.choice);
    }
}

/* With the lock held: what others may see of the engine. */
static void show(struct dispatch *d)
{
    lathe_engine_get_stats(d->engine, &d->stats);
    if (!d->want_rows)
        return;
    struct lathe_request_info info;
    d->rows = mem_new((size_t)(d->n_entry + 1) * sizeof *d->rows);
    for (int i = 0; lathe_engine_request(d->engine, i, &info); i++)
        for (int k = 0; k < d->n_entry; k++)
            if (d->entries[k].id == info.id)
                d->rows[d->n_row++] =
                    (struct dispatch_row){exchange_ref(d->entries[k].x), d->entries[k].choice, info};
    d->want_rows = false;
    pthread_cond_broadcast(&d->listed);
}

static void *dispatch_main(void *arg)
{
    struct dispatch *d = arg;
    struct lathe_err err = {LATHE_E_FAILED, "the server stops"};
    pthread_mutex_lock(&d->lock);
    while (!d->stop) {
        struct exchange *intake = d->intake, **cancels = d->cancels;
        int n_cancel = d->n_cancel;
        show(d);
        if (!intake && !n_cancel && d->n_entry == 0) {
            d->busy = false;
            pthread_cond_wait(&d->wake, &d->lock);
            continue;
        }
        if (!d->busy) /* from here on it is late */
            d->moved_ns = clock_ns();
        d->busy = true;
        d->intake = d->intake_tail = NULL;
        d->cancels = NULL;
        d->n_cancel = d->cap_cancel = 0;
        pthread_mutex_unlock(&d->lock);
        take_in(d, intake);
        for (int i = 0; i < n_cancel; i++) {
            cancel(d, cancels[i]);
            exchange_unref(cancels[i]);
        }
        free(cancels);
        if (d->stall_ms) {
            usleep((useconds_t)d->stall_ms * 1000);
            d->stall_ms = 0;
        }
        if (d->n_entry && step(d, &err) < 0)
            give_up(d, &err);
        pthread_mutex_lock(&d->lock);
        d->moved_ns = clock_ns();
    }
    pthread_mutex_unlock(&d->lock);
    give_up(d, &err);
    return NULL;
}

int dispatch_new(lathe_engine *engine, struct dispatch **out, struct lathe_err *err)
{
    struct dispatch *d = mem_new(sizeof *d);
    const char *stall = getenv("LATHE_TEST_STALL_MS"); /* for tests of /health and the watchdog */
    d->engine = engine;
    d->stall_ms = stall ? atoi(stall) : 0;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->wake, NULL);
    pthread_cond_init(&d->listed, NULL);
    int rc = pthread_create(&d->thread, NULL, dispatch_main, d);
    if (rc) {
        free(d);
        return err_set(err, LATHE_E_FAILED, "the engine's thread cannot start: %s", strerror(rc));
    }
    *out = d;
    return 0;
}

void dispatch_submit(struct dispatch *d, struct exchange *x)
{
    const struct lathe_err closed = {LATHE_E_BUSY, "the server does not take requests any more"};
    exchange_ref(x);
    pthread_mutex_lock(&d->lock);
    bool taken = !d->closed && !d->broken;
    if (taken) {
        if (!d->busy && !d->intake)
            d->moved_ns = clock_ns();
        if (d->intake_tail)
            d->intake_tail->next = x;
        else
            d->intake = x;
        d->intake_tail = x;
        pthread_cond_signal(&d->wake);
    }
    pthread_mutex_unlock(&d->lock);
    if (taken)
        return;
    for (int i = 0; i < exchange_n_choice(x); i++)
        put_error(x, i, &closed);
    exchange_unref(x);
}

void dispatch_cancel(struct dispatch *d, struct exchange *x)
{
    pthread_mutex_lock(&d->lock);
    if (d->n_cancel == d->cap_cancel) {
        d->cap_cancel = d->cap_cancel ? 2 * d->cap_cancel : 16;
        d->cancels = mem_grow(d->cancels, (size_t)d->cap_cancel * sizeof *d->cancels);
    }
    d->cancels[d->n_cancel++] = exchange_ref(x);
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
}

void dispatch_close(struct dispatch *d)
{
    pthread_mutex_lock(&d->lock);
    d->closed = true;
    pthread_mutex_unlock(&d->lock);
}

bool dispatch_idle(struct dispatch *d)
{
    pthread_mutex_lock(&d->lock);
    bool idle = !d->busy && !d->intake;
    pthread_mutex_unlock(&d->lock);
    return idle;
}

void dispatch_stop(struct dispatch *d)
{
    const struct lathe_err why = {LATHE_E_FAILED, "the server stops"};
    pthread_mutex_lock(&d->lock);
    d->closed = d->stop = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    take_in(d, d->intake);
    d->intake = d->intake_tail = NULL;
    give_up(d, &why);
}

void dispatch_free(struct dispatch *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->n_cancel; i++)
        exchange_unref(d->cancels[i]);
    free(d->cancels);
    free(d->entries);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->wake);
    pthread_cond_destroy(&d->listed);
    free(d);
}

void dispatch_stats(struct dispatch *d, struct lathe_engine_stats *out)
{
    pthread_mutex_lock(&d->lock);
    *out = d->stats;
    pthread_mutex_unlock(&d->lock);
}

int dispatch_requests(struct dispatch *d, struct dispatch_row **rows)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    pthread_mutex_lock(&d->lock);
    while (d->want_rows || d->rows) /* somebody else's */
        if (pthread_cond_timedwait(&d->listed, &d->lock, &until))
            break;
    bool mine = !d->want_rows && !d->rows && !d->stop;
    d->want_rows |= mine;
    pthread_cond_signal(&d->wake);
    while (mine && d->want_rows && pthread_cond_timedwait(&d->listed, &d->lock, &until) == 0)
        ;
    int n = mine ? d->n_row : 0;
    *rows = mine ? d->rows : NULL;
    if (mine) {
        d->rows = NULL;
        d->n_row = 0;
        d->want_rows = false;
        pthread_cond_broadcast(&d->listed);
    }
    pthread_mutex_unlock(&d->lock);
    return n;
}

bool dispatch_healthy(const struct dispatch *d)
{
    return !d->broken;
}

double dispatch_stalled_s(struct dispatch *d)
{
    pthread_mutex_lock(&d->lock);
    bool works = d->busy || d->intake;
    double s = works ? 1e-9 * (double)(clock_ns() - d->moved_ns) : 0;
    pthread_mutex_unlock(&d->lock);
    return s;
}
