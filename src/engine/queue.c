/* Who waits, and whose turn it is. */
#include "engine/queue.h"
#include <stdlib.h>
#include "engine/engine.h"

void queue_free(struct queue *q)
{
    for (int i = 0; i < QUEUE_BUCKETS; i++)
        for (struct tenant *t = q->buckets[i], *next; t; t = next) {
            next = t->next;
            free(t);
        }
    *q = (struct queue){0};
}

/* The least counter of the tenants that have requests; 0 if there are none. */
static double least_served(const struct queue *q)
{
    double least = 0;
    bool any = false;
    for (int i = 0; i < QUEUE_BUCKETS && q->n_active; i++)
        for (const struct tenant *t = q->buckets[i]; t; t = t->next)
            if (t->n_open && (!any || t->n_served < least)) {
                least = t->n_served;
                any = true;
            }
    return least;
}

/* A counter above the least has to be remembered, or a tenant would lose it by a moment's silence. */
static void forget_tenants(struct queue *q, bool all)
{
    double least = least_served(q);
    for (int i = 0; i < QUEUE_BUCKETS; i++)
        for (struct tenant **at = &q->buckets[i], *t; (t = *at);) {
            if (t->n_open || (!all && t->n_served > least)) {
                at = &t->next;
                continue;
            }
            *at = t->next;
            free(t);
            q->n_tenant--;
        }
}

struct tenant *queue_enter_tenant(struct queue *q, uint64_t id)
{
    struct tenant *t = q->buckets[id % QUEUE_BUCKETS];
    while (t && t->id != id)
        t = t->next;
    if (!t) {
        if (q->n_tenant >= QUEUE_MAX_TENANT)
            forget_tenants(q, false);
        if (q->n_tenant >= QUEUE_MAX_TENANT)
            forget_tenants(q, true);
        t = mem_new(sizeof *t);
        *t = (struct tenant){.next = q->buckets[id % QUEUE_BUCKETS], .id = id};
        q->buckets[id % QUEUE_BUCKETS] = t;
        q->n_tenant++;
    }
    if (t->n_open == 0) {
        double least = least_served(q);
        t->n_served = t->n_served < least ? least : t->n_served;
        q->n_active++;
    }
    t->n_open++;
    return t;
}

void queue_leave_tenant(struct queue *q, struct tenant *t)
{
    if (--t->n_open == 0)
        q->n_active--;
}

void queue_append(struct queue *q, struct seq *s)
{
    s->next = NULL;
    s->before = q->last;
    *(q->last ? &q->last->next : &q->first) = s;
    q->last = s;
    q->n++;
    q->n_token += s->n_token - s->n_past;
}

void queue_push_front(struct queue *q, struct seq *s)
{
    s->next = q->first;
    s->before = NULL;
    *(q->first ? &q->first->before : &q->last) = s;
    q->first = s;
    q->n++;
    q->n_token += s->n_token - s->n_past;
}

void queue_remove(struct queue *q, struct seq *s)
{
    *(s->before ? &s->before->next : &q->first) = s->next;
    *(s->next ? &s->next->before : &q->last) = s->before;
    s->next = s->before = NULL;
    q->n--;
    q->n_token -= s->n_token - s->n_past;
}

bool queue_before(const struct seq *a, const struct seq *b)
{
    if (a->request.priority != b->request.priority)
        return a->request.priority > b->request.priority;
    if (a->tenant != b->tenant && a->tenant->n_served != b->tenant->n_served)
        return a->tenant->n_served < b->tenant->n_served;
    return a->id < b->id;
}

struct seq *queue_best(const struct queue *q)
{
    struct seq *best = q->first;
    for (struct seq *s = best ? best->next : NULL; s; s = s->next)
        if (queue_before(s, best))
            best = s;
    return best;
}
