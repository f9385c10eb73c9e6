/* Tests of confidence intervals: of what is known, and how often they hold what they should. */
#include "unit.h"
#include <math.h>
#include <stdlib.h>
#include "measure/eval_run.h"

static uint64_t rnd_state = 7;
static double uniform(void)
{
    rnd_state = rnd_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(rnd_state >> 11) / (double)(1ull << 53);
}

static double normal(void)
{
    return sqrt(-2 * log(1 - uniform())) * cos(2 * M_PI * uniform());
}

static void ratio_of_sums(void **state)
{
    struct draws d;
    double a[4] = {1, 2, 3, 4}, b[4] = {2, 2, 2, 2}, none[4] = {0};
    draws_init(&d, 4);
    struct interval v = interval_ratio(&d, a, b, NULL);
    assert_true(v.value == 1.25 && v.low >= 0.5 && v.low < 1 && v.high > 1.5 && v.high <= 2);
    struct interval e = interval_ratio(&d, a, b, exp);
    assert_true(e.value == exp(v.value) && e.low == exp(v.low) && e.high == exp(v.high));
    v = interval_ratio(&d, a, none, NULL);
    assert_true(isnan(v.low) && isnan(v.high));
    draws_free(&d);
    draws_init(&d, 1);
    v = interval_ratio(&d, a, b, NULL);
    assert_true(v.value == 0.5 && isnan(v.low) && isnan(v.high));
    draws_free(&d);
}

static void each_draw_has_as_many_blocks(void **state)
{
    struct draws d;
    draws_init(&d, 37);
    long all[37] = {0};
    for (int i = 0; i < INTERVAL_N_DRAW; i++) {
        int n = 0;
        for (int k = 0; k < 37; k++) {
            n += d.count[i * 37 + k];
            all[k] += d.count[i * 37 + k];
        }
        assert_int_equal(n, 37);
    }
    for (int k = 0; k < 37; k++) /* each block 2000 times, standard deviation 44 */
        assert_in_range(all[k], INTERVAL_N_DRAW - 250, INTERVAL_N_DRAW + 250);
    draws_free(&d);
}

static void quantiles_are_of_nearest_rank(void **state)
{
    struct draws d;
    struct block_value v[1000];
    draws_init(&d, 10);
    for (int i = 0; i < 1000; i++)
        v[i] = (struct block_value){(float)((i * 7) % 1000 + 1), i % 10};
    block_values_sort(v, 1000);
    assert_true(v[0].value == 1000 && v[999].value == 1);
    assert_true(interval_quantile(&d, v, 1000, 0.99).value == 990);
    assert_true(interval_quantile(&d, v, 1000, 0.999).value == 999);
    assert_true(interval_quantile(&d, v, 1000, 0.5).value == 500);
    struct interval q = interval_quantile(&d, v, 1000, 0.99);
    assert_true(q.low <= 990 && q.high >= 990 && q.low >= 970 && q.high <= 1000);
    draws_free(&d);
}

enum { N_TRIAL = 300, N_BLOCK = 40, BLOCK = 64 };

/* Tokens of a chunk have something in common, whose mean is 0: the interval of the mean holds 0 in some 95 of 100 texts, where one
 * that takes tokens for independent would in fewer than 60. */
static void intervals_hold_the_truth_as_often_as_they_say(void **state)
{
    struct draws d;
    int n_held = 0, n_held_naive = 0;
    draws_init(&d, N_BLOCK);
    for (int trial = 0; trial < N_TRIAL; trial++) {
        double sum[N_BLOCK] = {0}, n[N_BLOCK], all = 0, square = 0;
        for (int i = 0; i < N_BLOCK; i++) {
            double common = 0.5 * normal();
            n[i] = BLOCK;
            for (int k = 0; k < BLOCK; k++) {
                double x = common + normal();
                sum[i] += x;
                square += x * x;
            }
            all += sum[i];
        }
        struct interval v = interval_ratio(&d, sum, n, NULL);
        double mean = all / (N_BLOCK * BLOCK), error = 1.96 * sqrt(square) / (N_BLOCK * BLOCK);
        n_held += v.low <= 0 && v.high >= 0;
        n_held_naive += fabs(mean) <= error;
    }
    assert_in_range(n_held, 0.90 * N_TRIAL, 0.98 * N_TRIAL);
    assert_true(n_held_naive < 0.6 * N_TRIAL);
    draws_free(&d);
}

static void summaries_are_of_their_positions(void **state)
{
    struct compare c;
    struct draws d;
    struct lathe_err err;
    assert_int_equal(compare_init(&c, 3, 100, &err), 0);
    c.has_reference = true;
    for (int i = 0; i < 300; i++)
        c.v[i] = (struct compare_position){
            .nll = 2, .ref_nll = 1, .kl = (float)(i % 100), .is_same_top = i % 100 < 50};
    draws_init(&d, 3);
    struct compare_summary s = compare_summarize(&c, &d, 40, 59);
    assert_int_equal(s.n, 60);
    assert_true(s.ppl.value == exp(2) && s.ref_ppl.value == exp(1) && s.ppl_ratio.value == exp(1));
    assert_true(s.kl_mean.value == 49.5 && s.kl_mean.low == 49.5 && s.kl_mean.high == 49.5);
    assert_true(s.kl_50.value == 49 && s.kl_max == 59 && s.kl_max_position == 59 && s.kl_max_chunk == 0);
    assert_true(s.same_top.value == 0.5);
    assert_true(fabs(s.dp_mean.value - (exp(-2) - exp(-1))) < 1e-12 &&
                fabs(s.dp_rms.value - (exp(-1) - exp(-2))) < 1e-12);
    draws_free(&d);
    compare_free(&c);
}

static void octaves_cover_all_positions_once(void **state)
{
    for (int n = 1; n < 5000; n = n * 3 + 1) {
        int from, to, next = 0, i = 0;
        for (; compare_octave(i, n, &from, &to); i++) {
            assert_int_equal(from, next);
            assert_true(to >= from && to < n);
            next = to + 1;
        }
        assert_int_equal(next, n);
    }
    int from, to;
    assert_true(compare_octave(7, 4095, &from, &to) && from == 2048 && to == 4094);
}

/* An engine takes no fewer rows a pass than it has sequences: a side with less room would lose some. */
static void a_pass_has_room_whatever_the_vocabulary(void **state)
{
    for (int n = 1; n < 1 << 24; n = n * 5 / 2 + 1)
        assert_in_range(eval_row_count(n), EVAL_HEAD_ROWS, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ratio_of_sums),
        cmocka_unit_test(each_draw_has_as_many_blocks),
        cmocka_unit_test(quantiles_are_of_nearest_rank),
        cmocka_unit_test(intervals_hold_the_truth_as_often_as_they_say),
        cmocka_unit_test(summaries_are_of_their_positions),
        cmocka_unit_test(octaves_cover_all_positions_once),
        cmocka_unit_test(a_pass_has_room_whatever_the_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
