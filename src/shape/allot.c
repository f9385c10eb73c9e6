/* Sizes and costs of an item, where a larger size is worth it, are a convex falling line; a step goes from one point of it to the next.
 *
 *     cost |*                      Lagrangian relaxation (Shoham and Gersho 1988, section III): for every price of a byte the best way of
 *          | .  o                  each item is a point of its line, and as the price falls all items take their steps in the order of
 *          |   *                   what a step saves for each byte. Steps are taken in that order while they fit; one that does
 *          |      .  *  o          not fit is left out, with those of its item behind it, and smaller ones may follow.
 *          +-------------- size
 *
 * With r bytes left, what a step saves for a byte is never below that of later ones. So a budget that a step fits into saves by it at
 * least what a smaller budget could have saved with all its rest: the cost never rises with the budget. */
#include "shape/allot.h"
#include <assert.h>
#include <stdlib.h>
#include "base/mem.h"

struct step {
    int item, from, to; /* ways */
    uint64_t size;      /* that it adds */
    double saves;       /* of the cost */
};

struct steps {
    struct step *v;
    int n;
};

/* The way of least size, of equals that of the least cost, of equals the first. */
static int smallest(const struct allot_item *t)
{
    int best = 0;
    for (int i = 1; i < t->n_way; i++)
        if (t->size[i] < t->size[best] || (t->size[i] == t->size[best] && t->cost[i] < t->cost[best]))
            best = i;
    return best;
}

/* Where the line goes on from way `at`: the steepest way down, of equals the longest; -1: nowhere. */
static int next_way(const struct allot_item *t, int at)
{
    int best = -1;
    double steepest = 0;
    for (int i = 0; i < t->n_way; i++) {
        if (t->size[i] <= t->size[at] || t->cost[i] >= t->cost[at])
            continue;
        double slope = (t->cost[at] - t->cost[i]) / (double)(t->size[i] - t->size[at]);
        if (best < 0 || slope > steepest || (slope == steepest && t->size[i] > t->size[best])) {
            best = i;
            steepest = slope;
        }
    }
    return best;
}

static double slope(const struct step *s)
{
    return s->saves / (double)s->size;
}

/* Ties by item; steps of an item are in the order of its line, since slopes only fall along it. */
static int compare(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    double sx = slope(x), sy = slope(y);
    if (sx != sy)
        return sx > sy ? -1 : 1;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    return (x->size > y->size) - (x->size < y->size);
}

static struct steps steps_of(const struct allot_item *items, int n, int *way, struct allot_sum *sum)
{
    struct steps s = {mem_new(((size_t)n * ALLOT_MAX_WAY + 1) * sizeof *s.v), 0};
    *sum = (struct allot_sum){0};
    for (int i = 0; i < n; i++) {
        const struct allot_item *t = &items[i];
        assert(t->n_way > 0 && t->n_way <= ALLOT_MAX_WAY);
        way[i] = smallest(t);
        sum->size += t->size[way[i]];
        sum->cost += t->cost[way[i]];
        for (int at = way[i], to; (to = next_way(t, at)) >= 0; at = to)
            s.v[s.n++] = (struct step){i, at, to, t->size[to] - t->size[at], t->cost[at] - t->cost[to]};
    }
    qsort(s.v, (size_t)s.n, sizeof *s.v, compare);
    return s;
}

/* Of the ways themselves, so that the sum does not depend on the order of steps. */
static struct allot_sum sum_of(const struct allot_item *items, int n, const int *way)
{
    struct allot_sum sum = {0};
    for (int i = 0; i < n; i++) {
        sum.size += items[i].size[way[i]];
        sum.cost += items[i].cost[way[i]];
    }
    return sum;
}

uint64_t allot_least(const struct allot_item *items, int n)
{
    uint64_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += items[i].size[smallest(&items[i])];
    return sum;
}

bool allot_within(const struct allot_item *items, int n, uint64_t size, int *way, struct allot_sum *out)
{
    struct allot_sum sum;
    struct steps s = steps_of(items, n, way, &sum);
    bool fits = sum.size <= size;
    for (int i = 0; i < s.n && fits; i++) {
        const struct step *t = &s.v[i];
        if (way[t->item] != t->from || t->size > size - sum.size)
            continue;
        way[t->item] = t->to;
        sum.size += t->size;
    }
    *out = sum_of(items, n, way);
    free(s.v);
    return fits;
}

bool allot_for(const struct allot_item *items, int n, double cost, int *way, struct allot_sum *out)
{
    struct allot_sum sum;
    struct steps s = steps_of(items, n, way, &sum);
    for (int i = 0; i < s.n && sum.cost > cost; i++) {
        if (way[s.v[i].item] == s.v[i].from)
            way[s.v[i].item] = s.v[i].to;
        sum = sum_of(items, n, way);
    }
    *out = sum_of(items, n, way);
    free(s.v);
    return out->cost <= cost;
}
