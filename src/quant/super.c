/* Super-blocks: scales and minima of groups are integers times two f16 numbers of the block.
 *
 * First each group by itself; then the block's factors that these come closest to (or those of the plain scales, whose minima fit
 * their scales: the better for the block); then turns: each group tries its integers'
 * neighbours against the weights themselves, and the factors follow by least squares for all groups together. A turn that
 * makes the block worse, by the rounding of the factors, is not taken. */
#include "quant/scheme.h"
#include <math.h>
#include <string.h>

enum { N_TURN = 3 };

static float clamp_round(float v, int lo, int hi)
{
    return rintf(v < (float)lo ? (float)lo : v > (float)hi ? (float)hi : v);
}

/* The groups of block b: [first, first + n). */
struct block {
    int b, first, n;
};

/* sum of w * (v - factor * integer)^2, integers in lo..hi; *next: the least-squares factor of these integers. */
static float factor_error(const float *v, const float *w, int n, float factor, int lo, int hi, float *next)
{
    float err = 0, vi = 0, ii = 0, inverse = factor != 0 ? 1 / factor : 0;
    for (int g = 0; g < n; g++) {
        float i = clamp_round(v[g] * inverse, lo, hi), e = v[g] - factor * i;
        err += w[g] * e * e;
        vi += w[g] * v[g] * i;
        ii += w[g] * i * i;
    }
    *next = ii > 0 ? vi / ii : 0;
    return err;
}

static float find_factor(const struct scheme_tile *t, struct block k, const float *v, const float *w, int lo,
                         int hi)
{
    int n_start = hi > 60 ? 3 : 8; /* fine scales come close from anywhere */
    float extreme = 0, best = 0, best_err = INFINITY;
    for (int g = 0; g < k.n; g++)
        extreme = fabsf(v[k.first + g]) > fabsf(extreme) ? v[k.first + g] : extreme;
    for (int side = lo < 0 ? 0 : 1; side < 2; side++)
        for (int i = 0; i < n_start; i++) {
            float end = (float)(side ? hi : lo), factor = extreme / (end * (1 - 0.04f * (float)i)), next;
            for (int turn = 0; turn < 2; turn++, factor = next) {
                factor = scheme_f16(t, k.first, factor);
                float err = factor_error(v + k.first, w + k.first, k.n, factor, lo, hi, &next);
                if (err < best_err) {
                    best_err = err;
                    best = factor;
                }
            }
        }
    return best;
}

/* What one turn begins with and comes to. */
struct turn {
    float sc[TILE_GROUPS], mn[TILE_GROUPS], err[TILE_GROUPS];
    struct fit f;
};

static void try_integers(const struct scheme *s, struct scheme_tile *t, const struct found *now,
                         const struct turn *from, int add_sc, int add_mn, struct turn *best)
{
    float sc[TILE_GROUPS], mn[TILE_GROUPS], d[TILE_GROUPS], m[TILE_GROUPS];
    struct fit f;
    for (int g = 0; g < TILE_GROUPS; g++) {
        int b = g / s->n_group;
        sc[g] = clamp_round(from->sc[g] + (float)add_sc, s->sc_lo, s->sc_hi);
        mn[g] = clamp_round(from->mn[g] + (float)add_mn, 0, s->mn_hi);
        d[g] = now->scale[0][b] * sc[g];
        m[g] = -(now->scale[1][b] * mn[g]);
    }
    fit_chosen()(&t->t, &s->levels, d, s->has_min ? m : NULL, &f);
    for (int g = 0; g < TILE_GROUPS; g++)
        if (f.err[g] < best->err[g]) {
            best->err[g] = f.err[g];
            best->sc[g] = sc[g];
            best->mn[g] = mn[g];
            best->f.hq[g] = f.hq[g];
            best->f.hqq[g] = f.hqq[g];
            best->f.hxq[g] = f.hxq[g];
        }
}

/* The factors with the least error for all groups' levels and integers. */
static void solve_factors(const struct scheme *s, const struct scheme_tile *t, struct block k,
                          const struct turn *u, struct found *now)
{
    float aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
    for (int g = k.first; g < k.first + k.n; g++) {
        float sc = u->sc[g], mn = -u->mn[g];
        aa += sc * sc * u->f.hqq[g];
        ab += sc * mn * u->f.hq[g];
        bb += mn * mn * t->t.sum_h[g];
        ax += sc * u->f.hxq[g];
        bx += mn * t->t.sum_hx[g];
    }
    float det = aa * bb - ab * ab, d = aa > 0 ? ax / aa : 0, m = now->scale[1][k.b];
    if (s->has_min && det > 1e-6f * aa * bb) {
        d = (ax * bb - bx * ab) / det;
        m = (bx * aa - ax * ab) / det;
    } else if (s->has_min && aa > 0) {
        d = (ax - m * ab) / aa;
    }
    now->scale[0][k.b] = scheme_f16(t, k.first, d);
    now->scale[1][k.b] = scheme_f16(t, k.first, m);
}

/* Integers for factors and what groups want. */
static void first_integers(const struct scheme *s, struct block k, const float *d, const float *m,
                           const struct found *now, struct turn *u)
{
    float a = now->scale[0][k.b], c = now->scale[1][k.b];
    for (int g = k.first; g < k.first + k.n; g++) {
        u->sc[g] = a != 0 ? clamp_round(d[g] / a, s->sc_lo, s->sc_hi) : 0;
        u->mn[g] = c != 0 ? clamp_round(-m[g] / c, 0, s->mn_hi) : 0;
    }
}

static void plain_start(const struct scheme *s, struct scheme_tile *t, struct found *now, struct turn *u)
{
    float d[TILE_GROUPS], m[TILE_GROUPS];
    search_plain(s, &t->t, d, m);
    for (int b = 0; b < TILE_GROUPS / s->n_group; b++) {
        struct block k = {b, b * s->n_group, s->n_group};
        float most = 0, least = 0;
        for (int g = k.first; g < k.first + k.n; g++) {
            most = fabsf(d[g]) > fabsf(most) ? d[g] : most;
            least = m[g] < least ? m[g] : least;
        }
        now->scale[0][b] = scheme_f16(t, k.first, fabsf(most) / (float)s->sc_hi);
        now->scale[1][b] = s->has_min ? scheme_f16(t, k.first, -least / (float)s->mn_hi) : 0;
        first_integers(s, k, d, m, now, u);
    }
}

static void found_start(const struct scheme *s, struct scheme_tile *t, struct found *now, struct turn *u)
{
    float d[TILE_GROUPS], m[TILE_GROUPS] = {0}, low[TILE_GROUPS], w[TILE_GROUPS];
    struct fit f;
    if (s->has_min)
        search_min(s, t, d, m);
    else
        search_scale(s, t, d);
    fit_chosen()(&t->t, &s->levels, d, s->has_min ? m : NULL, &f);
    for (int g = 0; g < TILE_GROUPS; g++) {
        w[g] = s->has_min ? f.hqq[g] - f.hq[g] * f.hq[g] / t->t.sum_h[g] : f.hqq[g];
        low[g] = -m[g];
    }
    for (int b = 0; b < TILE_GROUPS / s->n_group; b++) {
        struct block k = {b, b * s->n_group, s->n_group};
        now->scale[0][b] = find_factor(t, k, d, w, s->sc_lo, s->sc_hi);
        now->scale[1][b] = s->has_min ? find_factor(t, k, low, t->t.sum_h, 0, s->mn_hi) : 0;
        first_integers(s, k, d, m, now, u);
    }
}

static float block_error(const struct turn *u, struct block k)
{
    float err = 0;
    for (int g = k.first; g < k.first + k.n; g++)
        err += u->err[g];
    return err;
}

/* The better of two starts for each block. */
static void start(const struct scheme *s, struct scheme_tile *t, struct found *now, struct turn *u)
{
    struct found plain = {0};
    struct turn other, best[2];
    found_start(s, t, now, u);
    plain_start(s, t, &plain, &other);
    for (int g = 0; g < TILE_GROUPS; g++)
        best[0].err[g] = best[1].err[g] = INFINITY;
    try_integers(s, t, now, u, 0, 0, &best[0]);
    try_integers(s, t, &plain, &other, 0, 0, &best[1]);
    for (int b = 0; b < TILE_GROUPS / s->n_group; b++) {
        struct block k = {b, b * s->n_group, s->n_group};
        if (block_error(&best[0], k) <= block_error(&best[1], k))
            continue;
        now->scale[0][b] = plain.scale[0][b];
        now->scale[1][b] = plain.scale[1][b];
        memcpy(u->sc + k.first, other.sc + k.first, (size_t)k.n * sizeof *u->sc);
        memcpy(u->mn + k.first, other.mn + k.first, (size_t)k.n * sizeof *u->mn);
    }
}

static void keep_block(struct block k, const struct found *now, const struct turn *u, struct found *best)
{
    best->scale[0][k.b] = now->scale[0][k.b];
    best->scale[1][k.b] = now->scale[1][k.b];
    for (int g = k.first; g < k.first + k.n; g++) {
        best->sc[g] = u->sc[g];
        best->mn[g] = u->mn[g];
        best->d[g] = now->scale[0][k.b] * u->sc[g];
        best->m[g] = -(now->scale[1][k.b] * u->mn[g]);
    }
}

void search_super(const struct scheme *s, struct scheme_tile *t, struct found *best)
{
    struct found now = {0};
    struct turn from, to;
    struct fit f;
    float best_err[TILE_GROUPS] = {0};
    int n_min = s->has_min;
    start(s, t, &now, &from);
    for (int i = 0; i < N_TURN; i++) {
        for (int g = 0; g < TILE_GROUPS; g++)
            to.err[g] = INFINITY;
        for (int a = -1; a <= 1; a++)
            for (int c = -n_min; c <= n_min; c++)
                try_integers(s, t, &now, &from, a, c, &to);
        for (int b = 0; b < TILE_GROUPS / s->n_group; b++) {
            struct block k = {b, b * s->n_group, s->n_group};
            float err = block_error(&to, k);
            if (!i || err < best_err[b]) {
                best_err[b] = err;
                keep_block(k, &now, &to, best);
            }
            solve_factors(s, t, k, &to, &now);
        }
        from = to;
    }
    fit_chosen()(&t->t, &s->levels, best->d, s->has_min ? best->m : NULL, &f);
}
