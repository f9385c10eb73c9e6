/* Tests of rows of logits as distributions: against long double, on every set of loops, at every length around the lanes. */
#include "unit.h"
#include <math.h>
#include <stdlib.h>
#include "base/cpu.h"
#include "base/logits.h"

#define MOST 1000

static uint32_t rnd_state = 12345;
static float rnd(void)
{
    rnd_state = rnd_state * 1664525u + 1013904223u;
    return (float)(rnd_state >> 8) / (1 << 24);
}

static void make_row(float *x, int n, float width, float offset)
{
    for (int i = 0; i < n; i++)
        x[i] = offset + width * (rnd() + rnd() + rnd() - 1.5f);
}

static long double log_sum_of(const float *x, int n)
{
    long double sum = 0;
    for (int i = 0; i < n; i++)
        sum += expl((long double)x[i]);
    return logl(sum);
}

static double divergence_of(const float *x, const float *y, int n)
{
    long double x_sum = log_sum_of(x, n), y_sum = log_sum_of(y, n), kl = 0;
    for (int i = 0; i < n; i++)
        kl += expl(x[i] - x_sum) * ((x[i] - x_sum) - (y[i] - y_sum));
    return (double)kl;
}

static void rows_are_normalized(void **state)
{
    static float x[MOST];
    for (int n = 1; n < 70; n++) {
        struct logits_norm norm;
        make_row(x, n, 10, 100.0f * rnd());
        assert_true(logits_normalize(x, n, &norm));
        for (int i = 0; i < n; i++) {
            assert_true(x[i] < x[norm.top] || (x[i] == x[norm.top] && i >= norm.top));
            assert_true(fabs(logits_logp(x, &norm, i) - (double)(x[i] - log_sum_of(x, n))) < 1e-5);
        }
    }
}

static void divergence_is_exact_to_7_digits(void **state)
{
    static float x[MOST], y[MOST];
    for (int n = 1; n < MOST; n = n < 40 ? n + 1 : n * 2) {
        struct logits_norm p, q;
        double kl;
        make_row(x, n, 12, 0);
        for (int i = 0; i < n; i++)
            y[i] = x[i] + 0.2f * (rnd() - 0.5f);
        assert_true(logits_divergence(x, y, n, &p, &q, &kl));
        assert_true(fabs(kl - divergence_of(x, y, n)) < 3e-7);
        assert_true(fabs(p.log_sum + (double)p.max - (double)log_sum_of(x, n)) < 1e-6);
        assert_true(fabs(q.log_sum + (double)q.max - (double)log_sum_of(y, n)) < 1e-6);
        assert_true(logits_divergence(x, x, n, &p, &q, &kl));
        assert_true(kl == 0);
    }
}

/* What is common to all logits of a row does not count. */
static void an_offset_changes_nothing(void **state)
{
    static float x[MOST], y[MOST];
    struct logits_norm p, q;
    double near, far;
    make_row(x, MOST, 12, 0);
    make_row(y, MOST, 12, 0);
    assert_true(logits_divergence(x, y, MOST, &p, &q, &near));
    for (int i = 0; i < MOST; i++)
        y[i] += 64;
    assert_true(logits_divergence(x, y, MOST, &p, &q, &far));
    assert_true(fabs(near - far) < 1e-4 * near);
}

static void every_instruction_set_has_the_same_bits(void **state)
{
    static float x[MOST], y[MOST], share[MOST], other[MOST];
    const struct logits_loops *all[] = {&logits_loops_c,
#ifdef __x86_64__
                                        cpu_supports(CPU_AVX2) ? &logits_loops_avx2 : NULL,
                                        cpu_supports(CPU_AVX512VNNI) ? &logits_loops_avx512vnni : NULL
#endif
    };
    for (int n = 1; n < MOST; n += 37) {
        double first[3], sums[3];
        make_row(x, n, 30, 5);
        make_row(y, n, 30, -5);
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
            float max = 0;
            if (!all[k])
                continue;
            assert_true(all[k]->max(x, n, &max));
            all[k]->pair(x, max, y, 85, n, k ? sums : first);
            all[k]->exp(x, n, max, k ? other : share);
            assert_true((k ? sums : first)[0] == all[k]->sum(x, n, max));
            if (k)
                assert_memory_equal(sums, first, sizeof sums);
            if (k)
                assert_memory_equal(other, share, sizeof *share * (size_t)n);
        }
    }
}

static void exponentials_are_precise(void **state)
{
    for (int i = 0; i <= 87 * 64; i++) {
        float x = -(float)i / 64, e;
        logits_exp(&x, 1, 0, &e);
        assert_true(fabs((double)e / exp((double)x) - 1) < 3e-7);
    }
}

static void what_is_not_finite_is_found_anywhere(void **state)
{
    static float x[MOST];
    const float wrong[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 50; i++)
        for (int k = 0; k < 4; k++) {
            struct logits_norm p, q;
            float y[50] = {0};
            double kl;
            make_row(x, 50, 1, 0);
            assert_true(logits_normalize(x, 50, &p));
            x[i] = wrong[k];
            assert_false(logits_normalize(x, 50, &p));
            assert_false(logits_divergence(x, y, 50, &p, &q, &kl));
            assert_false(logits_divergence(y, x, 50, &p, &q, &kl));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_normalized),
        cmocka_unit_test(divergence_is_exact_to_7_digits),
        cmocka_unit_test(an_offset_changes_nothing),
        cmocka_unit_test(every_instruction_set_has_the_same_bits),
        cmocka_unit_test(exponentials_are_precise),
        cmocka_unit_test(what_is_not_finite_is_found_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
