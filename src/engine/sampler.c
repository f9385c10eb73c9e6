/* Sampling. Filters work on a shortlist of the best candidates, found by partial selection and doubled until
 * the filter's mass is inside: the vocabulary is never sorted as a whole unless a filter asks for all of it.
 */
#include "engine/sampler.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/detmath.h"
#include "base/mem.h"
#include "kern/kern.h"

struct candidate {
    float logit;
    float key; /* what it is ordered by, larger first */
    int32_t id;
};

struct repeat {
    int32_t token;
    int length;
};

struct sampler {
    struct lathe_sampling s;
    int n_vocab, n_ctx;
    uint32_t candidate;
    const uint8_t *breaks;
    struct candidate *list; /* [n_vocab] */
    int32_t *window;        /* [n_ctx + 1] */
    int *match;             /* [n_ctx + 1] */
    struct repeat *repeats; /* [n_ctx + 1] */
};

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

int sampler_new(const struct lathe_sampling *s, int n_vocab, int n_ctx, uint32_t candidate,
                const uint8_t *breaks, struct sampler **out, struct lathe_err *err)
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
    p->n_ctx = n_ctx;
    p->candidate = candidate;
    p->breaks = breaks;
    p->s.bias = NULL;
    if (s->n_bias) {
        p->s.bias = mem_new(s->n_bias * sizeof *s->bias);
        memcpy((void *)p->s.bias, s->bias, s->n_bias * sizeof *s->bias);
    }
    if (s->temperature > 0)
        p->list = mem_new((size_t)n_vocab * sizeof *p->list);
    p->window = mem_new((size_t)(n_ctx + 1) * sizeof *p->window);
    if (s->dry_multiplier > 0) {
        p->match = mem_new((size_t)(n_ctx + 1) * sizeof *p->match);
        p->repeats = mem_new((size_t)(n_ctx + 1) * sizeof *p->repeats);
    }
    *out = p;
    return 0;
}

void sampler_free(struct sampler *p)
{
    if (!p)
        return;
    free((void *)p->s.bias);
    free(p->list);
    free(p->window);
    free(p->match);
    free(p->repeats);
    free(p);
}

/* ---- changes to single logits ---- */

static void swap_bytes(char *a, char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

/* Heapsort (Williams 1964): in place, where qsort would allocate. */
static void sort_heap(void *base, int n, size_t size, int (*compare)(const void *, const void *))
{
    char *p = base;
    for (int start = n / 2, end = n; end > 1;) {
        if (start > 0)
            start--;
        else
            swap_bytes(p, p + (size_t)--end * size, size);
        for (int parent = start, child; (child = 2 * parent + 1) < end; parent = child) {
            if (child + 1 < end && compare(p + (size_t)child * size, p + (size_t)(child + 1) * size) < 0)
                child++;
            if (compare(p + (size_t)parent * size, p + (size_t)child * size) >= 0)
                break;
            swap_bytes(p + (size_t)parent * size, p + (size_t)child * size, size);
        }
    }
}

static int by_id(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void penalize(struct sampler *p, float *logits, const int32_t *history, int n)
{
    const struct lathe_sampling *s = &p->s;
    if (s->repeat_penalty == 1 && s->frequency_penalty == 0 && s->presence_penalty == 0)
        return;
    int last = s->penalty_last_n < 0 || s->penalty_last_n > n ? n : s->penalty_last_n;
    memcpy(p->window, history + n - last, (size_t)last * sizeof *history);
    sort_heap(p->window, last, sizeof *p->window, by_id);
    for (int i = 0, j; i < last; i = j) {
        for (j = i; j < last && p->window[j] == p->window[i]; j++)
            ;
        float *l = &logits[p->window[i]];
        *l = *l > 0 ? *l / s->repeat_penalty : *l * s->repeat_penalty;
        *l -= (float)(j - i) * s->frequency_penalty + s->presence_penalty;
    }
}

static int by_token_longest(const void *a, const void *b)
{
    const struct repeat *x = a, *y = b;
    return x->token != y->token ? (x->token > y->token) - (x->token < y->token) : y->length - x->length;
}

/* z[i] = how many tokens before end[-i], that one included, agree with the text's end (the Z function of the
 * reversed text). */
static void match_ending(const int32_t *end, int n, int *z)
{
    int left = 0, right = 0;
    z[0] = n;
    for (int i = 1; i < n; i++) {
        int k = i < right ? (z[i - left] < right - i ? z[i - left] : right - i) : 0;
        while (i + k < n && end[-k] == end[-(i + k)])
            k++;
        z[i] = k;
        if (i + k > right) {
            left = i;
            right = i + k;
        }
    }
}

/* DRY (p-e-w 2024): a token that would continue an earlier occurrence of the text's ending loses multiplier *
 * base^(length - allowed); an ending does not reach across a breaker. */
static void penalize_dry(struct sampler *p, float *logits, const int32_t *history, int n)
{
    const struct lathe_sampling *s = &p->s;
    if (s->dry_multiplier == 0 || n < 2)
        return;
    int last = s->dry_penalty_last_n < 0 || s->dry_penalty_last_n > n ? n : s->dry_penalty_last_n;
    int usable = 0, n_repeat = 0;
    const int32_t *end = history + n - 1;
    while (usable < last && !p->breaks[end[-usable]])
        usable++;
    match_ending(end, last, p->match);
    for (int i = 1; i < last; i++) {
        int length = p->match[i] < usable ? p->match[i] : usable;
        if (length >= s->dry_allowed_length)
            p->repeats[n_repeat++] = (struct repeat){end[-(i - 1)], length};
    }
    sort_heap(p->repeats, n_repeat, sizeof *p->repeats, by_token_longest);
    for (int i = 0; i < n_repeat; i++) {
        if (i && p->repeats[i].token == p->repeats[i - 1].token)
            continue;
        int excess = p->repeats[i].length - s->dry_allowed_length;
        double log_penalty = det_log((double)s->dry_base) * excess;
        logits[p->repeats[i].token] -=
            s->dry_multiplier * (float)det_exp(log_penalty < 80 ? log_penalty : 80);
    }
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

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Uniform in [0, 1), keyed (finalizer of SplitMix64, Steele et al. 2014). */
static double uniform(uint64_t seed, uint32_t candidate, int position)
{
    uint64_t x = mix(seed + 0x9e3779b97f4a7c15u);
    x = mix(x ^ ((uint64_t)candidate << 32 | (uint32_t)position));
    return (double)(mix(x + 0x9e3779b97f4a7c15u) >> 11) / 9007199254740992.0;
}

static int draw(struct sampler *p, struct candidate *list, int n, int position)
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

int sampler_next(struct sampler *p, float *logits, const int32_t *history, int n)
{
    const struct lathe_sampling *s = &p->s;
    for (size_t i = 0; i < s->n_bias; i++)
        logits[s->bias[i].token] += s->bias[i].bias;
    penalize(p, logits, history, n);
    penalize_dry(p, logits, history, n);
    int best = kern_set()->argmax(logits, p->n_vocab);
    if (best < 0 || s->temperature == 0)
        return best;
    struct candidate *list = p->list;
    float max = logits[best];
    int n_list = 0;
    for (int i = 0; i < p->n_vocab; i++)
        if (logits[i] > max - 700)
            list[n_list++] = (struct candidate){logits[i], logits[i], i};
    if (!n_list) /* the largest is infinite: forced, or everything is banned */
        return best;
    if (s->top_k > 0 && s->top_k < n_list) {
        select_best(list, n_list, s->top_k);
        n_list = s->top_k;
    }
    if (s->typical_p < 1)
        n_list = keep_typical(list, n_list, (double)s->typical_p, max);
    if (s->top_p < 1)
        n_list = prefix_of_mass(list, n_list, (double)s->top_p, total_weight(list, n_list, max), max);
    if (s->min_p > 0) {
        float largest = list[0].logit;
        for (int i = 1; i < n_list; i++)
            largest = list[i].logit > largest ? list[i].logit : largest;
        float floor_logit = largest + (float)det_log((double)s->min_p);
        int kept = 0;
        for (int i = 0; i < n_list; i++)
            if (list[i].logit >= floor_logit)
                list[kept++] = list[i];
        n_list = kept;
    }
    if (n_list <= 4096) /* an order that no filter's way of selecting shows in; larger lists are in order of
                           id already */
        sort(list, 0, n_list - 1);
    return draw(p, list, n_list, n);
}

float sampler_logprob(struct sampler *p, const float *logits, int token, int n_top, struct lathe_logprob *top)
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
