/* Tests of the kept reference: its precision is what the header promises. */
#include "unit.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>
#include "measure/base_file.h"
#include "measure/stat.h"

#define N_VOCAB 5000
#define N_ROW 50

static uint32_t rnd_state = 12345;
static float rnd(void)
{
    rnd_state = rnd_state * 1664525u + 1013904223u;
    return (float)(rnd_state >> 8) / (1 << 24);
}

static void make_row(float *logits, float width)
{
    for (int i = 0; i < N_VOCAB; i++)
        logits[i] = width * (rnd() + rnd() + rnd() - 1.5f);
}

static void log_softmax_sums_to_one(void **state)
{
    static float logits[N_VOCAB], logp[N_VOCAB];
    make_row(logits, 20);
    logits[77] = 60;
    assert_int_equal(base_log_softmax(logits, N_VOCAB, logp), 77);
    double sum = 0;
    for (int i = 0; i < N_VOCAB; i++)
        sum += exp((double)logp[i]);
    assert_true(fabs(sum - 1) < 1e-5);
}

static void divergence_of_known_distributions(void **state)
{
    float p[2] = {logf(0.5f), logf(0.5f)}, q[2] = {logf(0.25f), logf(0.75f)};
    assert_true(fabs(base_divergence(p, q, 2) - (0.5 * log(2.0) + 0.5 * log(2.0 / 3))) < 1e-7);
    assert_true(fabs(base_divergence(p, p, 2)) < 1e-12);
}

/* The divergence through the file differs from the exact one by less than 1e-5 in the mean, and a row to
 * itself is zero. */
static void rows_come_back_precisely(void **state)
{
    static float logits[N_VOCAB], logp[N_ROW][N_VOCAB], logq[N_ROW][N_VOCAB], back[N_VOCAB];
    char path[] = "/tmp/lathe-test-XXXXXX";
    struct base_head head = {N_VOCAB, 1, N_ROW + 2, 1, 99}, found;
    struct lathe_err err;
    FILE *f;
    close(mkstemp(path));
    assert_int_equal(base_create(path, &head, &f, &err), 0);
    for (int r = 0; r < N_ROW; r++) {
        make_row(logits, 4.0f + (float)r);
        base_log_softmax(logits, N_VOCAB, logp[r]);
        for (int i = 0; i < N_VOCAB; i++)
            logits[i] += 0.1f * (rnd() - 0.5f);
        base_log_softmax(logits, N_VOCAB, logq[r]);
        assert_int_equal(base_write_row(f, logp[r], N_VOCAB, &err), 0);
    }
    assert_int_equal(fclose(f), 0);
    assert_int_equal(base_open(path, &found, &f, &err), 0);
    assert_memory_equal(&found, &head, sizeof head);
    double off = 0, self = 0;
    for (int r = 0; r < N_ROW; r++) {
        int32_t top;
        assert_int_equal(base_read_row(f, back, N_VOCAB, &top, &err), 0);
        for (int i = 0; i < N_VOCAB; i++)
            assert_true(logp[r][i] <= logp[r][top]);
        off += (base_divergence(back, logq[r], N_VOCAB) - base_divergence(logp[r], logq[r], N_VOCAB)) / N_ROW;
        self += base_divergence(back, logp[r], N_VOCAB) / N_ROW;
    }
    assert_true(fabs(off) < 1e-5);
    assert_true(fabs(self) < 1e-6);
    int32_t top;
    assert_int_equal(base_read_row(f, back, N_VOCAB, &top, &err), LATHE_E_FILE);
    fclose(f);
    unlink(path);
}

static void constant_row_is_kept(void **state)
{
    float logp[4] = {-1.3862944f, -1.3862944f, -1.3862944f, -1.3862944f}, back[4];
    int32_t top;
    struct lathe_err err;
    FILE *f = tmpfile();
    assert_int_equal(base_write_row(f, logp, 4, &err), 0);
    rewind(f);
    assert_int_equal(base_read_row(f, back, 4, &top, &err), 0);
    assert_memory_equal(logp, back, sizeof logp);
    fclose(f);
}

static void damaged_head_is_refused(void **state)
{
    char path[] = "/tmp/lathe-test-XXXXXX";
    struct base_head head;
    struct lathe_err err;
    FILE *f = NULL;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "LTHKL\0\0\1aaaa", 12), 12);
    close(fd);
    assert_int_equal(base_open(path, &head, &f, &err), LATHE_E_FILE);
    if (f)
        fclose(f);
    unlink(path);
    assert_int_equal(base_open(path, &head, &f, &err), LATHE_E_FILE);
}

static void medians_and_quantiles(void **state)
{
    double v[] = {5, 1, 4, 2, 3}, w[] = {4, 1, 3, 2};
    assert_true(stat_median(v, 5) == 3);
    assert_true(stat_median(w, 4) == 2.5);
    assert_true(stat_quantile(v, 5, 0.99) == 5);
    assert_true(stat_quantile(v, 5, 0.2) == 1);
    assert_true(stat_quantile(v, 5, 0) == 1);
    assert_true(stat_rss_mib() > 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_softmax_sums_to_one),  cmocka_unit_test(divergence_of_known_distributions),
        cmocka_unit_test(rows_come_back_precisely), cmocka_unit_test(constant_row_is_kept),
        cmocka_unit_test(damaged_head_is_refused),  cmocka_unit_test(medians_and_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
