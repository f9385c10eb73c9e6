/* Sampling against brute force: every filter on a fully sorted distribution in double precision, penalties
 * one token at a time. */
#include "engine/sampler.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "gguf_write.h"
#include "unit.h"

enum { N = 120, N_DRAW = 20000 };

struct entry {
    int id;
    double logit, p, key;
};

static uint64_t rng_state = 3;
static struct sampler_scratch scratch;

static void random_logits(float *logits, int n, float spread)
{
    for (int i = 0; i < n; i++)
        logits[i] = spread * (gw_uniform(&rng_state) + gw_uniform(&rng_state) + gw_uniform(&rng_state));
}

static struct sampler *sampler(const struct lathe_sampling *s, int n_vocab, uint32_t candidate,
                               const uint8_t *breaks)
{
    struct sampler *p;
    struct lathe_err err;
    if (sampler_new(s, n_vocab, candidate, breaks, &p, &err))
        fail_msg("%s", err.text);
    return p;
}

/* ---- filters ---- */

static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->key != y->key ? (x->key < y->key) - (x->key > y->key) : (x->id > y->id) - (x->id < y->id);
}

static void normalize(struct entry *e, int n, double temperature)
{
    double max = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        max = fmax(max, e[i].logit);
    for (int i = 0; i < n; i++)
        sum += e[i].p = exp((e[i].logit - max) / temperature);
    for (int i = 0; i < n; i++)
        e[i].p /= sum;
}

static int cut_at_mass(struct entry *e, int n, double mass)
{
    qsort(e, (size_t)n, sizeof *e, by_key);
    double sum = 0;
    for (int i = 0; i < n; i++)
        if ((sum += e[i].p) >= mass)
            return i + 1;
    return n;
}

static void key_by_logit(struct entry *e, int n)
{
    for (int i = 0; i < n; i++)
        e[i].key = e[i].logit;
}

/* The distribution that is drawn from, in the documented order of filters; p of tokens that are out is 0. */
static void reference(const struct lathe_sampling *s, const float *logits, int n_vocab, double *p)
{
    struct entry *e = malloc((size_t)n_vocab * sizeof *e);
    int n = n_vocab;
    for (int i = 0; i < n; i++)
        e[i] = (struct entry){i, (double)logits[i], 0, (double)logits[i]};
    qsort(e, (size_t)n, sizeof *e, by_key);
    if (s->top_k > 0 && s->top_k < n)
        n = s->top_k;
    normalize(e, n, 1);
    if (s->typical_p < 1) {
        double entropy = 0;
        for (int i = 0; i < n; i++)
            entropy -= e[i].p > 0 ? e[i].p * log(e[i].p) : 0;
        for (int i = 0; i < n; i++)
            e[i].key = (double)-(float)fabs(-log(e[i].p) - entropy);
        n = cut_at_mass(e, n, (double)s->typical_p);
        normalize(e, n, 1);
    }
    key_by_logit(e, n);
    if (s->top_p < 1)
        n = cut_at_mass(e, n, (double)s->top_p);
    qsort(e, (size_t)n, sizeof *e, by_key);
    double floor_p = e[0].p * (double)s->min_p;
    while (n > 1 && e[n - 1].p < floor_p)
        n--;
    normalize(e, n, (double)s->temperature);
    for (int i = 0; i < n_vocab; i++)
        p[i] = 0;
    for (int i = 0; i < n; i++)
        p[e[i].id] = e[i].p;
    free(e);
}

/* Draws of positions 0..N_DRAW-1: none outside of the support, and chi-square within 5 sigma of its mean. */
static void check_filter(const struct lathe_sampling *s, const float *logits)
{
    static int32_t history[N_DRAW];
    double p[N], chi = 0, rest_p = 0;
    int count[N] = {0}, rest = 0, free_degrees = -1;
    float row[N];
    struct sampler *sm = sampler(s, N, 0, NULL);
    reference(s, logits, N, p);
    for (int i = 0; i < N_DRAW; i++) {
        memcpy(row, logits, sizeof row);
        int id = sampler_next(sm, &scratch, row, history, i);
        assert_in_range(id, 0, N - 1);
        if (p[id] == 0)
            fail_msg("token %d was drawn, the filters exclude it (top_k %d typical %g top_p %g min_p %g)", id,
                     s->top_k, (double)s->typical_p, (double)s->top_p, (double)s->min_p);
        count[id]++;
    }
    for (int i = 0; i < N; i++) {
        double expected = p[i] * N_DRAW;
        if (expected < 8) { /* too rare for the statistic: pooled */
            rest += count[i];
            rest_p += expected;
            continue;
        }
        chi += (count[i] - expected) * (count[i] - expected) / expected;
        free_degrees++;
    }
    if (rest_p >= 8) {
        chi += (rest - rest_p) * (rest - rest_p) / rest_p;
        free_degrees++;
    }
    if (chi > free_degrees + 5 * sqrt(2.0 * free_degrees) + 1)
        fail_msg("chi-square %g with %d degrees of freedom (top_k %d typical %g top_p %g min_p %g t %g)", chi,
                 free_degrees, s->top_k, (double)s->typical_p, (double)s->top_p, (double)s->min_p,
                 (double)s->temperature);
    sampler_free(sm);
}

static void filters_draw_from_the_right_distribution(void **state)
{
    static const struct lathe_sampling ways[] = {
        {.temperature = 1, .top_p = 1, .typical_p = 1},
        {.temperature = 0.7f, .top_p = 1, .typical_p = 1},
        {.temperature = 1.5f, .top_p = 1, .typical_p = 1, .top_k = 1},
        {.temperature = 1.5f, .top_p = 1, .typical_p = 1, .top_k = 7},
        {.temperature = 1, .top_p = 0.9f, .typical_p = 1},
        {.temperature = 1, .top_p = 0.3f, .typical_p = 1},
        {.temperature = 1, .top_p = 0, .typical_p = 1},
        {.temperature = 1, .top_p = 1, .typical_p = 1, .min_p = 0.1f},
        {.temperature = 1, .top_p = 1, .typical_p = 1, .min_p = 1},
        {.temperature = 1, .top_p = 1, .typical_p = 0.5f},
        {.temperature = 1, .top_p = 1, .typical_p = 0.9f},
        {.temperature = 0.8f, .top_p = 0.8f, .typical_p = 0.95f, .top_k = 50, .min_p = 0.02f},
        {.temperature = 2, .top_p = 0.95f, .typical_p = 1, .top_k = 100, .min_p = 0.01f},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct lathe_sampling s = ways[i];
        float logits[N];
        s.repeat_penalty = 1;
        s.dry_base = 1.75f;
        s.dry_allowed_length = 2;
        s.seed = 100 + i;
        random_logits(logits, N, 1.5f);
        check_filter(&s, logits);
    }
}

/* The filters on vocabularies that need more than one round of partial selection. */
static void large_vocabularies(void **state)
{
    enum { BIG = 20000 };
    float *logits = malloc(BIG * sizeof *logits), *row = malloc(BIG * sizeof *row);
    double *p = malloc(BIG * sizeof *p);
    static int32_t history[2000];
    for (int way = 0; way < 6; way++) {
        struct lathe_sampling s;
        lathe_sampling_init(&s);
        s.temperature = 1;
        s.seed = (uint64_t)way;
        s.top_k = way == 0 ? 3000 : 0;
        s.top_p = way == 1 || way == 4 ? 0.7f : 1;
        s.min_p = way == 2 ? 0.05f : 0;
        s.typical_p = way >= 3 && way < 5 ? 0.6f : 1;
        random_logits(logits, BIG, way == 5 ? 300.0f : 0.8f);
        struct sampler *sm = sampler(&s, BIG, 0, NULL);
        reference(&s, logits, BIG, p);
        for (int i = 0; i < 300; i++) {
            memcpy(row, logits, BIG * sizeof *row);
            int id = sampler_next(sm, &scratch, row, history, i);
            assert_in_range(id, 0, BIG - 1);
            assert_true(p[id] > 0);
        }
        sampler_free(sm);
    }
    free(logits);
    free(row);
    free(p);
}

/* ---- changes to logits ---- */

static void penalties_and_bias(void **state)
{
    for (int round = 0; round < 500; round++) {
        float logits[N], want[N];
        int32_t history[100];
        int n = (int)(gw_next(&rng_state) % 100), last = round % 5 ? (int)(gw_next(&rng_state) % 70) : -1;
        const struct lathe_logit_bias bias[] = {{3, 2.5f}, {7, -INFINITY}, {11, -1}};
        random_logits(logits, N, 2);
        memcpy(want, logits, sizeof want);
        for (int i = 0; i < n; i++)
            history[i] = (int32_t)(gw_next(&rng_state) % 20);
        struct lathe_sampling s;
        lathe_sampling_init(&s);
        s.bias = bias;
        s.n_bias = 3;
        s.repeat_penalty = round % 2 ? 1.3f : 1;
        s.frequency_penalty = round % 3 ? 0.4f : 0;
        s.presence_penalty = round % 7 ? -0.2f : 0;
        s.penalty_last_n = last;
        for (int i = 0; i < 3; i++)
            want[bias[i].token] += bias[i].bias;
        int first = last < 0 || last > n ? 0 : n - last;
        for (int t = 0; t < N; t++) {
            int count = 0;
            for (int i = first; i < n; i++)
                count += history[i] == t;
            if (!count)
                continue;
            want[t] = want[t] > 0 ? want[t] / s.repeat_penalty : want[t] * s.repeat_penalty;
            want[t] -= (float)count * s.frequency_penalty + s.presence_penalty;
        }
        struct sampler *sm = sampler(&s, N, 0, NULL);
        int id = sampler_next(sm, &scratch, logits, history, n), best = 0;
        for (int t = 0; t < N; t++) {
            assert_true(logits[t] == want[t]);
            best = want[t] > want[best] ? t : best;
        }
        assert_int_equal(id, best);
        assert_true(id != 7);
        sampler_free(sm);
    }
}

/* DRY by its definition: for every earlier place, how long the text's ending matches what stands before it.
 */
static void dry(void **state)
{
    uint8_t breaks[N] = {0};
    breaks[2] = 1;
    int n_hit = 0;
    for (int round = 0; round < 800; round++) {
        float logits[N], was[N];
        int32_t history[60];
        int n = (int)(gw_next(&rng_state) % 60), n_kind = round % 4 ? 3 : 2, longest[N] = {0};
        for (int i = 0; i < n; i++)
            history[i] = (int32_t)(gw_next(&rng_state) % (uint64_t)n_kind) + (round % 3 ? 0 : 1);
        struct lathe_sampling s;
        lathe_sampling_init(&s);
        s.dry_multiplier = 0.8f;
        s.dry_allowed_length = 1 + round % 4;
        s.dry_penalty_last_n = round % 6 ? -1 : 20;
        random_logits(logits, N, 1);
        memcpy(was, logits, sizeof was);
        int last = s.dry_penalty_last_n < 0 || s.dry_penalty_last_n > n ? n : s.dry_penalty_last_n;
        for (int next = n - last + 1; next < n;
             next++) { /* history[next] followed an occurrence that ended at next - 1 */
            int length = 0;
            while (next - 1 - length >= n - last && history[n - 1 - length] == history[next - 1 - length] &&
                   !breaks[history[n - 1 - length]])
                length++;
            if (length > longest[history[next]])
                longest[history[next]] = length;
        }
        struct sampler *sm = sampler(&s, N, 0, breaks);
        sampler_next(sm, &scratch, logits, history, n);
        for (int t = 0; t < N; t++) {
            double want = (double)was[t];
            if (longest[t] >= s.dry_allowed_length) {
                want -= 0.8 * pow(1.75, longest[t] - s.dry_allowed_length);
                n_hit++;
            }
            if (fabs((double)logits[t] - want) > 1e-6 * (1 + fabs(want)))
                fail_msg("token %d: %g, by definition %g (match of %d, allowed %d)", t, (double)logits[t],
                         want, longest[t], s.dry_allowed_length);
        }
        sampler_free(sm);
    }
    assert_true(n_hit > 100);
}

/* ---- randomness ---- */

static void randomness_is_keyed(void **state)
{
    float logits[N], row[N];
    static int32_t history[400];
    int forward[400], n_other_candidate = 0, n_other_seed = 0;
    struct lathe_sampling s;
    lathe_sampling_init(&s);
    s.temperature = 1;
    s.seed = 42;
    random_logits(logits, N, 1);
    struct sampler *a = sampler(&s, N, 0, NULL), *b = sampler(&s, N, 0, NULL), *c = sampler(&s, N, 1, NULL);
    s.seed = 43;
    struct sampler *d = sampler(&s, N, 0, NULL);
    for (int i = 0; i < 400; i++) {
        memcpy(row, logits, sizeof row);
        forward[i] = sampler_next(a, &scratch, row, history, i);
    }
    for (int i = 399; i >= 0; i--) { /* in another order, another sampler with the same key */
        memcpy(row, logits, sizeof row);
        assert_int_equal(sampler_next(b, &scratch, row, history, i), forward[i]);
        memcpy(row, logits, sizeof row);
        n_other_candidate += sampler_next(c, &scratch, row, history, i) != forward[i];
        memcpy(row, logits, sizeof row);
        n_other_seed += sampler_next(d, &scratch, row, history, i) != forward[i];
    }
    assert_true(n_other_candidate > 300 && n_other_seed > 300);
    sampler_free(a);
    sampler_free(b);
    sampler_free(c);
    sampler_free(d);
}

/* ---- edges ---- */

static void values_that_are_not_numbers(void **state)
{
    for (int hot = 0; hot < 2; hot++)
        for (int at = 0; at < N; at += 7) {
            float logits[N];
            struct lathe_sampling s;
            lathe_sampling_init(&s);
            s.temperature = (float)hot;
            random_logits(logits, N, 1);
            logits[at] = NAN;
            struct sampler *sm = sampler(&s, N, 0, NULL);
            assert_int_equal(sampler_next(sm, &scratch, logits, NULL, 0), -1);
            random_logits(logits, N, 1);
            logits[at] = INFINITY;
            assert_int_equal(sampler_next(sm, &scratch, logits, NULL, 0), at);
            for (int i = 0; i < N; i++)
                logits[i] = -INFINITY; /* all banned: some legal token */
            assert_in_range(sampler_next(sm, &scratch, logits, NULL, 0), 0, N - 1);
            logits[at] = -5;
            assert_int_equal(sampler_next(sm, &scratch, logits, NULL, 0), at);
            sampler_free(sm);
        }
}

static void ranges_are_checked(void **state)
{
    struct lathe_err err;
    struct sampler *sm;
    const float bad[] = {-1, NAN, INFINITY, -INFINITY, 1e9f};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int field = 0; field < 8; field++) {
            struct lathe_sampling s;
            lathe_sampling_init(&s);
            float *fields[] = {&s.temperature,    &s.top_p,          &s.min_p,    &s.typical_p,
                               &s.repeat_penalty, &s.dry_multiplier, &s.dry_base, &s.frequency_penalty};
            *fields[field] = bad[i];
            if (field == 7 && bad[i] == -1) /* legal */
                continue;
            assert_int_equal(sampler_new(&s, N, 0, NULL, &sm, &err), LATHE_E_USAGE);
            assert_null(sm);
        }
    const struct lathe_logit_bias wrong[] = {{-1, 0}, {N, 0}, {0, NAN}};
    for (size_t i = 0; i < 3; i++) {
        struct lathe_sampling s;
        lathe_sampling_init(&s);
        s.bias = &wrong[i];
        s.n_bias = 1;
        assert_int_equal(sampler_new(&s, N, 0, NULL, &sm, &err), LATHE_E_USAGE);
    }
}

static void logprobs(void **state)
{
    struct lathe_sampling s;
    lathe_sampling_init(&s);
    struct sampler *sm = sampler(&s, N, 0, NULL);
    for (int round = 0; round < 200; round++) {
        float logits[N];
        struct entry e[N];
        struct lathe_logprob top[20];
        random_logits(logits, N, 3);
        if (round % 2)
            for (int i = 0; i < N; i++)
                logits[i] = floorf(logits[i]); /* ties: the lower id comes first */
        for (int i = 0; i < N; i++)
            e[i] = (struct entry){i, (double)logits[i], 0, (double)logits[i]};
        normalize(e, N, 1);
        int n_top = round % 21, token = round % N;
        assert_true(fabs((double)sampler_logprob(sm, logits, token, n_top, top) - log(e[token].p)) < 1e-5);
        qsort(e, N, sizeof *e, by_key);
        for (int i = 0; i < n_top; i++) {
            assert_int_equal(top[i].token, e[i].id);
            assert_true(fabs((double)top[i].logprob - log(e[i].p)) < 1e-5);
        }
    }
    sampler_free(sm);
}

static int make_scratch(void **state)
{
    struct lathe_err err;
    return sampler_scratch_init(&scratch, 300000, N_DRAW, &err);
}

static int free_scratch(void **state)
{
    sampler_scratch_free(&scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_draw_from_the_right_distribution),
        cmocka_unit_test(large_vocabularies),
        cmocka_unit_test(penalties_and_bias),
        cmocka_unit_test(dry),
        cmocka_unit_test(randomness_is_keyed),
        cmocka_unit_test(values_that_are_not_numbers),
        cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(logprobs),
    };
    return cmocka_run_group_tests(tests, make_scratch, free_scratch);
}
