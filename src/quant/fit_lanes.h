/* The source of every fit_X.c; see fit.h. */
#include "quant/fit.h"
#include "quant/lanes.h"

/* Level by level upwards: compares and moves alone, for sixteen levels as fast as a table. */
ALWAYS lanes book_level(const struct levels *l, lanes y)
{
    lanes q = lanes_of(l->book[0]);
    for (int i = 1; i < l->n_book; i++)
        q = lanes_more(y, lanes_of((l->book[i - 1] + l->book[i]) * 0.5f), lanes_of(l->book[i]), q);
    return q;
}

ALWAYS lanes divided(lanes a, lanes b)
{
    lanes zero = {0};
    return lanes_more(b, zero, a / b, zero);
}

/* The scale, or both, that fit the levels best. */
ALWAYS void solve(const struct fit_tile *t, const struct levels *l, struct fit *f, int at, lanes hq,
                  lanes hqq, lanes hxq, bool has_min)
{
    lanes zero = {0}, d = divided(hxq, hqq), m = zero, gain = d * hxq;
    if (has_min) {
        lanes h = lanes_load(t->sum_h + at), x = lanes_load(t->sum_hx + at), mean = hq / h,
              both = divided(hxq - mean * x, hqq - mean * hq), low = (x - both * hq) / h,
              more = both * (hxq - mean * x) + x * x / h;
        if (l->below) { /* where that is not allowed: without a minimum */
            d = lanes_max(d, zero);
            gain = d * hxq;
            more = lanes_more(low, zero, zero, lanes_more(zero, both, zero, more));
        }
        lanes is_both = l->below ? more : lanes_of(1);
        d = lanes_more(is_both, zero, both, d);
        m = lanes_more(is_both, zero, low, m);
        gain = lanes_more(is_both, zero, more, gain);
    }
    lanes_store(f->d + at, d);
    lanes_store(f->m + at, m);
    lanes_store(f->gain + at, gain);
}

ALWAYS void fit_some(struct fit_tile *t, const struct levels *l, lanes d, lanes m, struct fit *f, int at,
                     bool has_min, bool has_book)
{
    lanes zero = {0},
          inverse = lanes_more(d, zero, lanes_of(1) / d, lanes_more(zero, d, lanes_of(1) / d, zero)),
          lo = lanes_of(l->lo), hi = lanes_of(l->hi), hq = zero, hqq = zero, hxq = zero, err = zero;
    for (int k = 0; k < t->n; k++) {
        lanes x = lanes_load(t->x[k] + at), h = lanes_load(t->h[k] + at),
              y = (has_min ? (lanes)(x - m) : x) * inverse,
              q = has_book ? book_level(l, y) : lanes_round(lanes_min(lanes_max(y, lo), hi)), one = h * q,
              e = has_min ? (lanes)(x - (q * d + m)) : (lanes)(x - q * d);
        lanes_store(t->level[k] + at, q);
        hq = hq + one;
        hqq = hqq + one * q;
        hxq = hxq + one * x;
        err = err + h * e * e;
    }
    lanes_store(f->hq + at, hq);
    lanes_store(f->hqq + at, hqq);
    lanes_store(f->hxq + at, hxq);
    lanes_store(f->err + at, err);
    solve(t, l, f, at, hq, hqq, hxq, has_min);
}

void FIT(struct fit_tile *t, const struct levels *l, const float *d, const float *m, struct fit *f)
{
    for (int at = 0; at < TILE_GROUPS; at += LANES_N) {
        lanes scale = lanes_load(d + at), zero = {0};
        if (l->book)
            fit_some(t, l, scale, zero, f, at, false, true);
        else if (m)
            fit_some(t, l, scale, lanes_load(m + at), f, at, true, false);
        else
            fit_some(t, l, scale, zero, f, at, false, false);
    }
}
