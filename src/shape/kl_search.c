/* Predictions are off by a factor that changes slowly, so the first tries scale by it, and bisection on a logarithmic scale ends it. */
#include "shape/kl_search.h"
#include <math.h>

#define NEAR 0.93    /* of the bound: no try is worth what is left */
#define FARTHEST 4.0 /* that one try changes the aim by */

struct kl_search kl_search_begin(double bound)
{
    return (struct kl_search){.bound = bound, .aim = bound};
}

static double limited(double factor)
{
    return factor > FARTHEST ? FARTHEST : factor < 1 / FARTHEST ? 1 / FARTHEST : factor;
}

bool kl_search_next(struct kl_search *s, double measured, bool smallest, bool largest)
{
    bool last = ++s->n_try >= KL_SEARCH_MOST;
    if (measured <= s->bound) {
        s->fits = s->aim;
        s->measured = measured;
        s->done = last || smallest || measured >= NEAR * s->bound;
    } else {
        s->misses = s->aim;
        if (!s->fits && (largest || last))
            return false;
        s->known = last;
    }
    if (s->done)
        return true;
    if (s->known)
        s->aim = s->fits;
    else if (s->fits && s->misses)
        s->aim = sqrt(s->fits * s->misses);
    else if (!s->fits && s->n_try == KL_SEARCH_MOST - 1)
        s->aim = 0; /* the largest */
    else
        s->aim *= limited((s->fits ? 0.97 : 0.9) * s->bound / measured);
    return true;
}
