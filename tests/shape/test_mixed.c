/* What a target is reached with: the search for a divergence, the text that is held out, noise. */
#include "unit.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "shape/kl_search.h"
#include "shape/noise.h"
#include "shape/text_pieces.h"

/* A model whose measured divergence is what is predicted, times a factor, and a floor. */
static double measured(double aim, double factor, double least, double floor)
{
    return floor + factor * (aim > least ? aim : least);
}

static void search_ends_near_the_bound(void **state)
{
    const double factors[] = {0.2, 0.5, 0.9, 1, 1.1, 2, 3};
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        struct kl_search s = kl_search_begin(0.03);
        double got = 0;
        int n = 0;
        for (; !s.done && !s.known; n++) {
            got = measured(s.aim, factors[i], 0.001, 0.002);
            assert_true(kl_search_next(&s, got, false, s.aim < 0.001));
        }
        assert_true(n <= KL_SEARCH_MOST);
        assert_true(s.measured <= 0.03 && s.measured >= 0.8 * 0.03);
        assert_true(s.measured == measured(s.known ? s.aim : s.fits, factors[i], 0.001, 0.002));
    }
}

static void search_knows_when_nothing_fits(void **state)
{
    struct kl_search s = kl_search_begin(0.001);
    int n = 1;
    while (kl_search_next(&s, measured(s.aim, 1, 0.0005, 0.002), false, s.aim < 0.0005)) {
        assert_false(s.done || s.known);
        n++;
    }
    assert_true(n <= KL_SEARCH_MOST);
    /* far off, and yet the largest fits: it is tried at the end */
    s = kl_search_begin(0.001);
    for (n = 0; !s.done && !s.known; n++)
        assert_true(kl_search_next(&s, s.aim == 0 ? 0.0009 : 5, false, s.aim == 0));
    assert_true(s.measured == 0.0009 && n <= KL_SEARCH_MOST);
}

static void search_takes_the_smallest_at_once(void **state)
{
    struct kl_search s = kl_search_begin(1);
    assert_true(kl_search_next(&s, 0.01, true, false));
    assert_true(s.done && s.n_try == 1 && s.measured == 0.01);
}

static void text_is_split_at_lines(void **state)
{
    enum { N = 20000, LINE = 37 };
    char *text = malloc(N);
    for (int i = 0; i < N; i++)
        text[i] = i % LINE == LINE - 1 ? '\n' : (char)('a' + i % 26);
    struct held_out h = held_out_split(text, N);
    assert_int_equal(h.n_used + h.n_kept, N);
    assert_true(h.n_kept * 12 > N && h.n_kept * 5 < N);
    assert_int_equal(h.n_kept % LINE, 0); /* whole lines; the last, that is none, is used */
    assert_int_equal(h.n_used % LINE, N % LINE);
    assert_memory_equal(h.used, text, N / 64);
    held_out_free(&h);
    for (int i = 0; i < N; i += 2) /* characters of two bytes, no lines */
        memcpy(text + i, "\xc3\xa9", 2);
    h = held_out_split(text, N);
    assert_true(h.n_kept > 0 && h.n_kept % 2 == 0 && h.n_used % 2 == 0 && h.kept[0] == '\xc3');
    held_out_free(&h);
    h = held_out_split(text, 0);
    assert_true(h.n_used == 0 && h.n_kept == 0);
    held_out_free(&h);
    free(text);
}

/* Of 20 bytes a line, which say where they are: pieces begin and end with lines, lie all over the text, and are the same of a file. */
static void as_much_of_a_text_as_is_needed(void **state)
{
    enum { LINE = 20, N = 50000 };
    char *text = malloc(N * LINE + 1), path[] = "/tmp/lathe-text-XXXXXX", *out[2];
    size_t n[2];
    struct lathe_err err;
    for (int i = 0; i < N; i++)
        snprintf(text + (size_t)i * LINE, LINE + 1, "line %014d\n", i);
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, N * LINE) == N * LINE);
    struct text_source in_memory = {text, N * LINE, NULL}, in_file = {NULL, 0, path};
    struct text_need need = {100000, 10000};
    assert_int_equal(text_read(&in_memory, &need, &out[0], &n[0], &err), 0);
    assert_int_equal(text_read(&in_file, &need, &out[1], &n[1], &err), 0);
    assert_true(n[0] == n[1] && n[0] % LINE == 0 && n[0] >= 100000 && n[0] <= 101000);
    assert_memory_equal(out[0], out[1], n[0]);
    for (int i = 0; i < 10; i++) { /* a line of each tenth is there, in order */
        int at = atoi(out[0] + n[0] / LINE * (size_t)i / 10 * LINE + LINE + 5);
        assert_true(at >= N / 10 * i && at < N / 10 * (i + 1));
    }
    free(out[0]);
    free(out[1]);
    need.most = N * LINE;
    assert_int_equal(text_read(&in_memory, &need, &out[0], &n[0], &err), 0);
    assert_int_equal(text_read(&in_file, &need, &out[1], &n[1], &err), 0);
    assert_true(!out[0] && n[0] == N * LINE && n[1] == N * LINE);
    assert_memory_equal(out[1], text, N * LINE);
    free(out[1]);
    unlink(path);
    assert_int_equal(text_read(&in_file, &need, &out[1], &n[1], &err), LATHE_E_FILE);
    assert_non_null(strstr(err.text, path));
    close(fd);
    free(text);
}

static void noise_is_as_large_as_asked(void **state)
{
    enum { N = 1000, SMALL = 512, ROWS = 200 };
    const struct noise noise = {.seed = 7, .size = 0.25f}, none = {.seed = 7};
    double error = 0, value = 0, sum = 0;
    float x[N], was[N], again[N];
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < N; i++)
            was[i] = x[i] = again[i] = (float)((i * 7919 + r * 31) % 101 - 50) * (i < SMALL ? 1 : 100);
        noise_add(&noise, r, x, N);
        for (int i = 0; i < N; i++) {
            double d = (double)x[i] - (double)was[i];
            error += d * d;
            value += (double)was[i] * (double)was[i];
            sum += d / (i < SMALL ? 1 : 100);
            assert_true(fabs(d) <
                        0.25 * 1.74 * 40 * (i < SMALL ? 1 : 100)); /* small columns get small noise */
        }
        noise_add(&noise, r, again, N);
        assert_memory_equal(x, again, sizeof x);
        noise_add(&none, r, was, N);
        noise_add(&noise, r + 1, was, N);
        assert_true(memcmp(x, was, sizeof x) != 0);
    }
    assert_true(fabs(sqrt(error / value) - 0.25) < 0.005);
    assert_true(fabs(sum / (N * ROWS)) < 0.1); /* of a deviation of 7.3 */
    memset(x, 0, sizeof x);
    noise_add(&noise, 0, x, N);
    for (int i = 0; i < N; i++)
        assert_true(x[i] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(search_ends_near_the_bound),        cmocka_unit_test(search_knows_when_nothing_fits),
        cmocka_unit_test(search_takes_the_smallest_at_once), cmocka_unit_test(text_is_split_at_lines),
        cmocka_unit_test(as_much_of_a_text_as_is_needed),    cmocka_unit_test(noise_is_as_large_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
