/* Time limits of requests on their way in. */
#include "server/guard.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "base/clock.h"
#include "base/mem.h"

struct guest {
    struct guest *next, *before;
    int fd;
    double due_s; /* INFINITY: nothing is awaited */
};

struct guard {
    pthread_mutex_t lock;
    struct guest list; /* a ring */
    double body_s, idle_s;
};

struct guard *guard_new(int body_s, int idle_s)
{
    struct guard *g = mem_new(sizeof *g);
    pthread_mutex_init(&g->lock, NULL);
    g->list.next = g->list.before = &g->list;
    g->body_s = body_s;
    g->idle_s = idle_s;
    return g;
}

void guard_free(struct guard *g)
{
    if (!g)
        return;
    pthread_mutex_destroy(&g->lock);
    free(g);
}

void guard_set(struct guard *g, int body_s)
{
    pthread_mutex_lock(&g->lock);
    g->body_s = body_s;
    pthread_mutex_unlock(&g->lock);
}

struct guest *guard_enter(struct guard *g, int fd)
{
    struct guest *guest = mem_new(sizeof *guest);
    pthread_mutex_lock(&g->lock);
    *guest =
        (struct guest){.next = &g->list, .before = g->list.before, .fd = fd, .due_s = clock_s() + g->body_s};
    guest->before->next = guest;
    g->list.before = guest;
    pthread_mutex_unlock(&g->lock);
    return guest;
}

void guard_leave(struct guard *g, struct guest *guest)
{
    pthread_mutex_lock(&g->lock);
    guest->before->next = guest->next;
    guest->next->before = guest->before;
    pthread_mutex_unlock(&g->lock);
    free(guest);
}

static void await(struct guard *g, struct guest *guest, const double *more, double most)
{
    if (!guest)
        return;
    pthread_mutex_lock(&g->lock);
    guest->due_s = most ? most : clock_s() + g->body_s + (more ? *more : 0);
    pthread_mutex_unlock(&g->lock);
}

void guard_body(struct guard *g, struct guest *guest)
{
    await(g, guest, NULL, 0);
}

void guard_whole(struct guard *g, struct guest *guest)
{
    await(g, guest, NULL, INFINITY);
}

/* When the next request begins is not told, so that idling counts as part of it. */
void guard_answered(struct guard *g, struct guest *guest)
{
    await(g, guest, &g->idle_s, 0);
}

int guard_sweep(struct guard *g)
{
    int n = 0;
    double now = clock_s();
    pthread_mutex_lock(&g->lock);
    for (struct guest *x = g->list.next; x != &g->list; x = x->next) {
        if (x->due_s > now)
            continue;
        shutdown(
            x->fd,
            SHUT_RDWR); /* the library sees the end and closes; under the lock the descriptor is still this one */
        x->due_s = INFINITY;
        n++;
    }
    pthread_mutex_unlock(&g->lock);
    return n;
}
