/* Sampling.
 *
 * Without filters a token is drawn by the sums of blocks of the vocabulary, then within one block. Filters work on a shortlist of
 * the best candidates: first of those near the largest logit, of all if those do not suffice, found by partial selection and
 * doubled until the filter's mass is inside. The vocabulary is never sorted as a whole unless a filter asks for all of it. */
#include "engine/sampler.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/detmath.h"
#include "base/mem.h"
#include "base/splitmix.h"
#include "kern/kern.h"
#include "kern/scalar.h"

enum { BLOCK = 512 };
/* How far below the largest a logit is looked for first, and at all: e^-12 is 6e-6, e^-700 nothing. */
static const float NEAR = 12, FAR = 700;

struct candidate {
    float logit;
    float key; /* what it is ordered by, larger first */
    int32_t id;
};

struct sampler {
    struct lathe_sampling s;
    int n_vocab;
    uint32_t candidate;
    const uint8_t *breaks;
};

int sampler_scratch_init(struct sampler_scratch *c, int n_vocab, int n_ctx, struct lathe_err *err)
{
    size_t n = (size_t)n_vocab;
    *c = (struct sampler_scratch){0};
    penalty_scratch_init(&c->penalty, n_ctx);
    TRY(mem_try(n, sizeof *c->list, "sampling", (void **)&c->list, err));
    TRY(mem_try(n, sizeof *c->scaled, "sampling", (void **)&c->scaled, err));
    TRY(mem_try(n, sizeof *c->raw, "sampling", (void **)&c->raw, err));
    return mem_try(n / BLOCK + 1, sizeof *c->block_sums, "sampling", (void **)&c->block_sums, err);
}

uint64_t sampler_scratch_bytes(int n_vocab, int n_ctx)
{
    return (uint64_t)n_vocab * (sizeof(struct candidate) + 2 * sizeof(float)) + penalty_scratch_bytes(n_ctx);
}

void sampler_scratch_free(struct sampler_scratch *c)
{
    penalty_scratch_free(&c->penalty);
    free(c->list);
    free(c->scaled);
    free(c->raw);
    free(c->block_sums);
}

static int check(const struct lathe_sampling *s, struct lathe_err *err)
{
    const struct {
        const char *name;
        double v, lo, hi;
    } rows[] = {
        {"temperature", (double)s->temperature, 0, 100},
        {"top_k", s->top_k, 0, 1 << 24},
        {"top_p", (double)s->top_p, 0, 1},
        {"min_p", (double)s->min_p, 0, 1},
        {"typical_p", (double)s->typical_p, 0, 1},
        {"repeat_penalty", (double)s->repeat_penalty, 0.01, 100},
        {"frequency_penalty", (double)s->frequency_penalty, -100, 100},
        {"presence_penalty", (double)s->presence_penalty, -100, 100},
        {"penalty_last_n", s->penalty_last_n, -1, 1 << 30},
        {"dry_multiplier", (double)s->dry_multiplier, 0, 100},
        {"dry_base", (double)s->dry_base, 1, 100},
        {"dry_allowed_length", s->dry_allowed_length, 1, 1 << 30},
        {"dry_penalty_last_n", s->dry_penalty_last_n, -1, 1 << 30},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!(rows[i].v >= rows[i].lo && rows[i].v <= rows[i].hi))
            return err_set(err, LATHE_E_USAGE, "%s is %g, expected %g..%g", rows[i].name, rows[i].v,
                           rows[i].lo, rows[i].hi);
    return 0;
}

int sampler_new(const struct lathe_sampling *s, int n_vocab, uint32_t candidate, const uint8_t *breaks,
                struct sampler **out, struct lathe_err *err)
{
    *out = NULL;
    TRY(check(s, err));
    for (size_t i = 0; i < s->n_bias; i++) {
        if (s->bias[i].token < 0 || s->bias[i].token >= n_vocab)
            return err_set(err, LATHE_E_USAGE, "logit bias for token %d, the vocabulary has %d",
                           s->bias[i].token, n_vocab);
        if (isnan(s->bias[i].bias))
            return err_set(err, LATHE_E_USAGE, "logit bias of token %d is not a number", s->bias[i].token);
    }
    struct sampler *p = mem_new(sizeof *p);
    p->s = *s;
    p->n_vocab = n_vocab;
    p->candidate = candidate;
    p->breaks = breaks;
    p->s.bias = NULL;
    if (s->n_bias) {
        p->s.bias = mem_new(s->n_bias * sizeof *s->bias);
        memcpy((void *)p->s.bias, s->bias, s->n_bias * sizeof *s->bias);
    }
    *out = p;
    return 0;
}

void sampler_free(struct sampler *p)
{
    if (!p)
        return;
    free((void *)p->s.bias);
    free(p);
}

/* ---- shortlist ---- */

static bool better(const struct candidate *a, const struct candidate *b)
{
    return a->key > b->key || (a->key == b->key && a->id < b->id);
}

static void swap(struct candidate *a, struct candidate *b)
{
    struct candidate t = *a;
    *a = *b;
    *b = t;
}

/* Parts list[lo..hi] around the median of three (Hoare): afterwards list[lo..*j] comes before list[*i..hi],
 * what lies between is in place. */
static void partition(struct candidate *list, int lo, int hi, int *i, int *j)
{
    int mid = lo + (hi - lo) / 2;
    if (better(&list[mid], &list[lo]))
        swap(&list[mid], &list[lo]);
    if (better(&list[hi], &list[lo]))
        swap(&list[hi], &list[lo]);
    if (better(&list[hi], &list[mid]))
        swap(&list[hi], &list[mid]);
    struct candidate pivot = list[mid];
    for (*i = lo, *j = hi; *i <= *j;) {
        while (better(&list[*i], &pivot))
            ++*i;
        while (better(&pivot, &list[*j]))
            --*j;
        if (*i <= *j)
            swap(&list[(*i)++], &list[(*j)--]);
    }
}

/* Brings the best k of list[n] to the front, in no order. */
static void select_best(struct candidate *list, int n, int k)
{
    int lo = 0, hi = n - 1, i, j;
    while (lo < hi && k > lo) {
        partition(list, lo, hi, &i, &j);
        if (k - 1 <= j)
            hi = j;
        else if (k - 1 >= i)
            lo = i;
        else
            return;
    }
}

/* Best first. Not qsort: the C library's allocates. Recursion goes into the smaller part, so 32 deep at most.
 */
static void sort(struct candidate *list, int lo, int hi)
{
    while (lo < hi) {
        int i, j;
        partition(list, lo, hi, &i, &j);
        if (j - lo < hi - i) {
            sort(list, lo, j);
            lo = i;
        } else {
            sort(list, i, hi);
            hi = j;
        }
    }
}

/* The best k, sorted. */
static void shortlist(struct candidate *list, int n, int k)
{
    if (k < n)
        select_best(list, n, k);
    sort(list, 0, (k < n ? k : n) - 1);
}

/* Natural exponent of (logit - max) as the kernels compute it is not needed here: double precision,
 * deterministic. */
static double weight(const struct candidate *c, float max)
{
    double x = (double)c->logit - (double)max;
    return x < -700 ? 0 : det_exp(x);
}

/* Smallest prefix of the order by `key` whose mass reaches p of `total`; at least one. */
static int prefix_of_mass(struct candidate *list, int n, double p, double total, float max)
{
    for (int k = 64;; k *= 8) {
        int m = k < n ? k : n;
        shortlist(list, n, m);
        double mass = 0;
        for (int i = 0; i < m; i++) {
            mass += weight(&list[i], max);
            if (mass >= p * total)
                return i + 1;
        }
        if (m == n)
            return n;
    }
}

static double total_weight(const struct candidate *list, int n, float max)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += weight(&list[i], max);
    return sum;
}

/* Locally typical sampling (Meister et al. 2022): keeps tokens whose surprise is nearest to the entropy. */
static int keep_typical(struct candidate *list, int n, double p, float max)
{
    double total = total_weight(list, n, max), log_total = det_log(total), entropy = 0;
    for (int i = 0; i < n; i++) {
        double w = weight(&list[i], max) / total;
        if (w > 0)
            entropy -= w * ((double)list[i].logit - (double)max - log_total);
    }
    for (int i = 0; i < n; i++)
        list[i].key = -(float)fabs(-((double)list[i].logit - (double)max - log_total) - entropy);
    n = prefix_of_mass(list, n, p, total, max);
    for (int i = 0; i < n; i++)
        list[i].key = list[i].logit;
    return n;
}

/* ---- the choice ---- */

/* Uniform in [0, 1), keyed. */
static double uniform(uint64_t seed, uint32_t candidate, int position)
{
    uint64_t x = splitmix_mix(seed + SPLITMIX_STEP);
    x = splitmix_mix(x ^ ((uint64_t)candidate << 32 | (uint32_t)position));
    return splitmix_share(splitmix_mix(x + SPLITMIX_STEP));
}

static int draw(const struct sampler *p, struct candidate *list, int n, int position)
{
    double t = (double)p->s.temperature, total = 0, u;
    float max = list[0].logit;
    for (int i = 1; i < n; i++)
        max = list[i].logit > max ? list[i].logit : max;
    for (int i = 0; i < n; i++) {
        double x = ((double)list[i].logit - (double)max) / t;
        total += x < -700 ? 0 : det_exp(x);
    }
    u = uniform(p->s.seed, p->candidate, position) * total;
    for (int i = 0; i < n; i++) {
        double x = ((double)list[i].logit - (double)max) / t;
        u -= x < -700 ? 0 : det_exp(x);
        if (u < 0)
            return list[i].id;
    }
    return list[0].id;
}

/* From the whole vocabulary; `best` is its largest. */
static int draw_all(const struct sampler *p, struct sampler_scratch *c, const float *logits, int best,
                    int position)
{
    float max = logits[best], t = p->s.temperature, *x = c->scaled;
    double total = 0;
    for (int i = 0; i < p->n_vocab; i++)
        x[i] = (logits[i] - max) / t;
    for (int i = 0; i < p->n_vocab; i += BLOCK) {
        int n = p->n_vocab - i < BLOCK ? p->n_vocab - i : BLOCK;
        total += (double)(c->block_sums[i / BLOCK] = kern_set()->sum_exp(x + i, n, 0));
    }
    double u = uniform(p->s.seed, p->candidate, position) * total;
    int last = best; /* where the sums of a block and of its tokens differ by rounding */
    for (int i = 0; i < p->n_vocab; i += BLOCK) {
        if (u >= (double)c->block_sums[i / BLOCK] && i + BLOCK < p->n_vocab) {
            u -= (double)c->block_sums[i / BLOCK];
            continue;
        }
        for (int k = i; k < p->n_vocab && k < i + BLOCK; k++) {
            if (!(x[k] > -FAR))
                continue;
            last = k;
            u -= (double)scalar_exp(x[k]);
            if (u < 0)
                break;
        }
        break;
    }
    return last;
}

/* Candidates above `floor`, in order of id. */
static int gather(const struct sampler *p, struct candidate *list, const float *logits, float floor)
{
    int n = 0;
    for (int i = 0; i < p->n_vocab; i++)
        if (logits[i] > floor)
            list[n++] = (struct candidate){logits[i], logits[i], i};
    return n;
}

/* Whether the filters cannot choose any that the list has not. `total`: the mass of all. */
static bool suffices(const struct lathe_sampling *s, const struct candidate *list, int n, float max,
                     double total)
{
    if (s->typical_p < 1)
        return false;
    if (s->top_k > 0)
        return n >= s->top_k;
    if (s->top_p < 1)
        return total_weight(list, n, max) >= (double)s->top_p * total;
    return det_log((double)s->min_p) > -(double)NEAR;
}

static int keep_min_p(struct candidate *list, int n, float min_p)
{
    float largest = list[0].logit;
    int kept = 0;
    for (int i = 1; i < n; i++)
        largest = list[i].logit > largest ? list[i].logit : largest;
    float floor = largest + (float)det_log((double)min_p);
    for (int i = 0; i < n; i++)
        if (list[i].logit >= floor)
            list[kept++] = list[i];
    return kept;
}

/* The candidates that the filters leave. */
static int filter(const struct sampler *p, struct candidate *list, const float *logits, float max)
{
    const struct lathe_sampling *s = &p->s;
    double total = s->top_p < 1 ? (double)kern_set()->sum_exp(logits, p->n_vocab, max) : 0;
    int n = gather(p, list, logits, max - NEAR);
    if (!suffices(s, list, n, max, total))
        n = gather(p, list, logits, max - FAR);
    if (s->top_k > 0 && s->top_k < n) {
        select_best(list, n, s->top_k);
        n = s->top_k;
    }
    if (s->typical_p < 1)
        n = keep_typical(list, n, (double)s->typical_p, max);
    if (s->top_p < 1) {
        if (s->top_k > 0 || s->typical_p < 1)
            total = total_weight(list, n, max);
        n = prefix_of_mass(list, n, (double)s->top_p, total, max);
    }
    return s->min_p > 0 ? keep_min_p(list, n, s->min_p) : n;
}

bool sampler_changes_logits(const struct sampler *p)
{
    return penalties_any(&p->s);
}

int sampler_next(const struct sampler *p, struct sampler_scratch *c, float *logits, const int32_t *history,
                 int n)
{
    const struct lathe_sampling *s = &p->s;
    penalties_apply(s, &c->penalty, p->breaks, logits, history, n);
    int best = kern_set()->argmax(logits, p->n_vocab);
    if (best < 0 || s->temperature == 0 ||
        !isfinite(logits[best])) /* infinite: forced, or everything is banned */
        return best;
    if (s->top_k == 0 && s->typical_p == 1 && s->top_p == 1 && s->min_p == 0)
        return draw_all(p, c, logits, best, n);
    int n_list = filter(p, c->list, logits, logits[best]);
    if (n_list <= 4096) /* an order that no filter's way of selecting shows in */
        sort(c->list, 0, n_list - 1);
    return draw(p, c->list, n_list, n);
}

float sampler_logprob(const struct sampler *p, const float *logits, int token, int n_top,
                      struct lathe_logprob *top)
{
    int best = kern_set()->argmax(logits, p->n_vocab), n = 0;
    if (best < 0)
        return NAN;
    float max = logits[best];
    double log_sum = det_log((double)kern_set()->sum_exp(logits, p->n_vocab, max)) + (double)max;
    for (int i = 0; i < p->n_vocab && n_top > 0; i++) {
        if (n == n_top && logits[i] <= top[n - 1].logprob)
            continue;
        int at = n < n_top ? n++ : n - 1;
        for (; at > 0 && top[at - 1].logprob < logits[i]; at--)
            top[at] = top[at - 1];
        top[at] = (struct lathe_logprob){i, logits[i]};
    }
    for (int i = 0; i < n; i++)
        top[i].logprob = (float)((double)top[i].logprob - log_sum);
    return (float)((double)logits[token] - log_sum);
}
