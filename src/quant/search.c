/* The search of a group's scale, or scale and minimum, with the least weighted squared error.
 *
 * For fixed levels the best scale is a quotient of sums (least squares), and for a fixed scale the nearest levels are the best:
 * taking turns goes down to a minimum near its start. There are many such minima, so there are many starts: scales that
 * bring a group's largest number to each of some levels, those past the end of the range too, which cut it off and so serve
 * the others better. After each start's first turn the gain (what the error is less than the sum of squares) is known without
 * another look at the numbers; the best goes on. */
#include "quant/scheme.h"
#include <math.h>
#include <string.h>
#include "quant/lanes.h"

/* ---- one scale ---- */

static void extremes(const struct fit_tile *t, float *out)
{
    for (int at = 0; at < TILE_GROUPS; at += LANES_N) {
        lanes most = {0};
        for (int k = 0; k < t->n; k++) {
            lanes x = lanes_load(t->x[k] + at);
            most = lanes_more(lanes_max(x, -x), lanes_max(most, -most), x, most);
        }
        lanes_store(out + at, most);
    }
}

/* Levels that the largest number is brought to: n of them to either side of each end, `step` of the end's size apart. */
struct starts {
    int inside, outside;
    float step;
};

/* The ends of a book or a range. */
static float low_end(const struct levels *l)
{
    return l->book ? l->book[0] : l->lo;
}

static float high_end(const struct levels *l)
{
    return l->book ? l->book[l->n_book - 1] : l->hi;
}

/* Few levels have minima that lie far apart, many have them close together. */
static struct starts starts_of(const struct levels *l)
{
    if (l->book)
        return (struct starts){6, 3, 0.03f};
    if (l->hi < 4)
        return (struct starts){7, 4, 0.08f};
    if (l->hi < 8)
        return (struct starts){7, 5, 0.05f};
    if (l->hi < 64)
        return (struct starts){4, 2, 1 / (2 * l->hi)};
    return (struct starts){2, 0, 1 / (2 * l->hi)};
}

/* The best so far of each group. */
struct best {
    float d[TILE_GROUPS], m[TILE_GROUPS], gain[TILE_GROUPS];
};

static void keep_better(struct best *best, const struct fit *f)
{
    for (int at = 0; at < TILE_GROUPS; at += LANES_N) {
        lanes now = lanes_load(f->gain + at), was = lanes_load(best->gain + at);
        lanes_store(best->gain + at, lanes_more(now, was, now, was));
        lanes_store(best->d + at, lanes_more(now, was, lanes_load(f->d + at), lanes_load(best->d + at)));
        lanes_store(best->m + at, lanes_more(now, was, lanes_load(f->m + at), lanes_load(best->m + at)));
    }
}

static void try_scale(struct fit_tile *t, const struct levels *l, const float *extreme, float to,
                      struct best *best)
{
    float start[TILE_GROUPS], inverse = 1 / to;
    struct fit f;
    for (int g = 0; g < TILE_GROUPS; g++)
        start[g] = extreme[g] * inverse;
    fit_chosen()(t, l, start, NULL, &f);
    keep_better(best, &f);
}

void search_scale(const struct scheme *s, struct scheme_tile *t, float *d)
{
    const struct levels *l = &s->levels;
    struct starts n = starts_of(l);
    struct best best = {0};
    float extreme[TILE_GROUPS], end[2] = {low_end(l), high_end(l)};
    extremes(&t->t, extreme);
    for (int e = 0; e < 2; e++)
        for (int i = -n.inside; i <= n.outside; i++)
            try_scale(&t->t, l, extreme, end[e] * (1 + (float)i * n.step), &best);
    memcpy(d, best.d, sizeof best.d);
}

/* ---- scale and minimum ---- */

/* The smallest and the largest number of each group; with minima that are subtracted, zero is among them. */
static void span(const struct scheme *s, const struct fit_tile *t, float *low, float *high)
{
    for (int at = 0; at < TILE_GROUPS; at += LANES_N) {
        lanes least = lanes_load(t->x[0] + at), most = least, zero = {0};
        for (int k = 1; k < t->n; k++) {
            lanes x = lanes_load(t->x[k] + at);
            least = lanes_min(x, least);
            most = lanes_max(x, most);
        }
        lanes_store(low + at, s->levels.below ? lanes_more(least, zero, zero, least) : least);
        lanes_store(high + at, most);
    }
}

void search_min(const struct scheme *s, struct scheme_tile *t, float *d, float *m)
{
    enum { N_END = 5 };
    struct best best = {0};
    struct fit f;
    float low[TILE_GROUPS], high[TILE_GROUPS], d0[TILE_GROUPS], m0[TILE_GROUPS],
        inverse = 1 / s->levels.hi,
        step = s->levels.hi < 4    ? 0.08f
               : s->levels.hi < 16 ? 0.025f
                                   : 0.012f;
    span(s, &t->t, low, high);
    for (int i = -1; i < N_END - 1; i++)
        for (int j = -1; j < N_END - 1; j++) {
            for (int g = 0; g < TILE_GROUPS; g++) {
                float wide = high[g] - low[g];
                m0[g] = low[g] + wide * step * (float)i;
                d0[g] = wide * (1 - step * (float)(i + j)) * inverse;
            }
            fit_chosen()(&t->t, &s->levels, d0, m0, &f);
            keep_better(&best, &f);
        }
    memcpy(d, best.d, sizeof best.d);
    memcpy(m, best.m, sizeof best.m);
}

/* ---- scales in f16, and powers of two ---- */

void search_plain(const struct scheme *s, const struct fit_tile *t, float *d, float *m)
{
    float low[TILE_GROUPS], high[TILE_GROUPS];
    span(s, t, low, high);
    for (int g = 0; g < TILE_GROUPS; g++) {
        float extreme = -low[g] > high[g] ? low[g] : high[g];
        d[g] = s->has_min ? (high[g] - low[g]) / s->levels.hi : extreme / low_end(&s->levels);
        m[g] = s->has_min ? low[g] : 0;
    }
}

/* The plain scale first, so that nothing is worse than it; then what is found and its turns. */
void search_f16(const struct scheme *s, struct scheme_tile *t, struct found *found)
{
    enum { N_TURN = 4 };
    float d[TILE_GROUPS], m[TILE_GROUPS] = {0}, best[TILE_GROUPS] = {0};
    struct fit f;
    search_plain(s, &t->t, d, m);
    for (int i = 0; i < N_TURN; i++) {
        for (int g = 0; g < TILE_GROUPS; g++) {
            d[g] = scheme_f16(t, g, d[g]);
            m[g] = scheme_f16(t, g, m[g]);
        }
        fit_chosen()(&t->t, &s->levels, d, s->has_min ? m : NULL, &f);
        for (int g = 0; g < TILE_GROUPS; g++) {
            bool better = !i || f.err[g] < best[g];
            best[g] = better ? f.err[g] : best[g];
            found->d[g] = better ? d[g] : found->d[g];
            found->m[g] = better ? m[g] : found->m[g];
        }
        memcpy(d, f.d, sizeof d);
        memcpy(m, f.m, sizeof m);
        if (!i && s->has_min)
            search_min(s, t, d, m);
        else if (!i)
            search_scale(s, t, d);
    }
    fit_chosen()(&t->t, &s->levels, found->d, s->has_min ? found->m : NULL, &f);
}

/* The largest number between half and twice the largest level, and what lies between. */
void search_power(const struct scheme *s, struct scheme_tile *t, struct found *found)
{
    float extreme[TILE_GROUPS], best[TILE_GROUPS] = {0}, d[TILE_GROUPS], end = high_end(&s->levels);
    struct fit f;
    extremes(&t->t, extreme);
    for (int i = 0; i < 4; i++) {
        for (int g = 0; g < TILE_GROUPS; g++) {
            int e;
            frexpf(fabsf(extreme[g]) / end, &e);
            d[g] = ldexpf(1, e - 2 + i);
            float of = d[g] * t->up[g]; /* what the file can hold, and no level of it is infinite */
            d[g] = (of < 0x1p-128f ? 0x1p-128f : of > 0x1p124f ? 0x1p124f : of) * t->down[g];
        }
        fit_chosen()(&t->t, &s->levels, d, NULL, &f);
        for (int g = 0; g < TILE_GROUPS; g++)
            if (!i || f.err[g] < best[g]) {
                best[g] = f.err[g];
                found->d[g] = d[g];
            }
    }
    fit_chosen()(&t->t, &s->levels, found->d, NULL, &f);
}
