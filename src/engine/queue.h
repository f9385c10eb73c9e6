/* Who waits, and whose turn it is: by priority, then the tenant that was served least (virtual token counters; Sheng et al.
 * 2024, "Fairness in Serving Large Language Models", algorithm 2), then the oldest.
 *
 * A tenant's counter is the rows of passes that its requests took. While it asks for nothing its counter stands still; when it
 * comes back it is lifted to the least of those that are there, so that nobody saves up a right to starve others. */
#ifndef LATHE_ENGINE_QUEUE_H
#define LATHE_ENGINE_QUEUE_H
#include "base/mem.h"

struct seq;

struct tenant {
    struct tenant *next;
    uint64_t id;
    double n_served;
    int n_open; /* requests that are not finished */
    int n_held; /* of what is being shared out; see admit.c */
};

enum { QUEUE_BUCKETS = 1024, QUEUE_MAX_TENANT = 65536 };

struct queue {
    struct seq *first, *last; /* waiting, in order of arrival but for preempted ones, which come first */
    int n;
    int64_t n_token; /* that those who wait have to compute before they generate */
    struct tenant *buckets[QUEUE_BUCKETS];
    int n_tenant, n_active; /* active: with open requests */
};

void queue_free(struct queue *q);
/* A request of the tenant begins, and ends: the tenant is there in between. */
struct tenant *queue_enter_tenant(struct queue *q, uint64_t id);
void queue_leave_tenant(struct queue *q, struct tenant *t);
void queue_append(struct queue *q, struct seq *s);
void queue_push_front(struct queue *q, struct seq *s);
void queue_remove(struct queue *q, struct seq *s);
/* Whether a goes before b. */
bool queue_before(const struct seq *a, const struct seq *b);
/* Whose turn it is; NULL if nobody waits. */
struct seq *queue_best(const struct queue *q);
#endif
