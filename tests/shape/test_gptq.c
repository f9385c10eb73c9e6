/* Second moments, their factor, and GPTQ's error against what is computed in doubles from the definition. */
#include "unit.h"
#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/pool.h"
#include "base/splitmix.h"
#include "kern/kern.h"
#include "quant/encode.h"
#include "quant/int_round.h"
#include "quant/parts.h"
#include "shape/gptq.h"

enum { N = 320, ROWS = 700, N_OUT = 21 };

static struct pool *pool;
static float x[ROWS][N];
static double moments[N][N];

/* Nearly normal, the same in every run. */
static float gauss_of(uint64_t *state)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += splitmix_share(splitmix_next(state));
    return (float)(sum - 6);
}

static float gauss(void)
{
    static uint64_t state = 1;
    return gauss_of(&state);
}

/* Inputs that depend on each other, some columns much larger than others. */
static void make_inputs(void)
{
    for (int r = 0; r < ROWS; r++) {
        float common = gauss();
        for (int i = 0; i < N; i++)
            x[r][i] = (common + gauss()) * (i % 37 == 5 ? 20.0f : 1.0f);
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            moments[i][j] = 0;
            for (int r = 0; r < ROWS; r++)
                moments[i][j] += (double)x[r][i] * (double)x[r][j];
        }
}

static struct hessian summed(int n_thread)
{
    struct hessian h;
    struct pool *p;
    struct lathe_err err;
    assert_int_equal(pool_new(n_thread, &p, &err), 0);
    assert_int_equal(hessian_new(N, &h, &err), 0);
    hessian_add(&h, p, x[0], N, 300);
    hessian_add(&h, p, x[300], N, ROWS - 300);
    pool_free(p);
    return h;
}

static void sums(void **state)
{
    struct hessian h = summed(1), other = summed(3);
    for (int i = 0; i < N; i++)
        for (int j = i; j < N; j++) {
            float v = h.h[i * h.stride + j];
            double bound = 2 * ROWS * 0x1p-24 * sqrt(moments[i][i] * moments[j][j]);
            assert_true(fabs((double)v - moments[i][j]) <= bound);
            assert_true(v == other.h[i * h.stride + j]); /* whatever the number of threads */
        }
    hessian_free(&h);
    hessian_free(&other);
}

/* e H e^T in doubles, with the damping. */
static double direct(const float *e, double damping)
{
    double sum = 0, mean = 0;
    for (int i = 0; i < N; i++)
        mean += moments[i][i] / N;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            sum += (double)e[i] * (double)e[j] * (moments[i][j] + (i == j ? damping * mean : 0));
    return sum;
}

static void factor(void **state)
{
    struct hessian h = summed(2);
    struct gptq_input in;
    struct lathe_err err;
    assert_int_equal(gptq_prepare(&h, pool, 0.01, false, &in, &err), 0);
    assert_true(in.damping == 0.01);
    for (int trial = 0; trial < 5; trial++) {
        float e[N];
        double sum = 0, want;
        for (int i = 0; i < N; i++)
            e[i] = gauss();
        for (int i = 0; i < N; i++) {
            double at = 0;
            for (int j = i; j < N; j++)
                at += (double)e[in.order[j]] * (double)h.h[i * h.stride + j];
            sum += at * at * (double)in.d[i] * (double)in.d[i];
        }
        want = direct(e, 0.01);
        assert_true(fabs(sum - want) < 1e-3 * want);
    }
    gptq_input_free(&in);
    hessian_free(&h);
}

/* sorted: columns in the order of the inputs' size. */
static void rows_of(const struct format *f, bool sorted)
{
    static float w[N_OUT][N], back[N], e_row[N];
    uint64_t seed = 3;
    struct hessian h = summed(2);
    struct gptq_input in;
    struct lathe_err err;
    struct gptq_error e = {0};
    uint8_t *y = mem_new((size_t)N_OUT * N * 4);
    size_t row_bytes = (size_t)(N / f->block_n) * (size_t)f->block_bytes;
    double sum[3] = {0}; /* rounding alone, with importances, GPTQ */
    assert_int_equal(gptq_prepare(&h, pool, 0.01, sorted, &in, &err), 0);
    for (int r = 0; r < N_OUT; r++)
        for (int i = 0; i < N; i++)
            w[r][i] = gauss_of(&seed);
    for (int pass = 0; pass < 3; pass++) {
        for (int r = 0; r < N_OUT; r += LANES)
            if (pass == 2)
                gptq_rows(f, &in, w[r], N_OUT - r < LANES ? N_OUT - r : LANES, y + (size_t)r * row_bytes,
                          true, &e);
        if (pass < 2)
            format_encode(f, w[0], pass ? in.importance : NULL, y, N_OUT, N);
        for (int r = 0; r < N_OUT; r++) {
            f->decode(y + (size_t)r * row_bytes, back, N);
            for (int i = 0; i < N; i++) {
                int column = pass == 2 && sorted ? in.perm[i] : i;
                e_row[column] = w[r][column] - back[i];
            }
            sum[pass] += direct(e_row, 0.01);
        }
    }
    /* what it says of itself is so, and it is better than rounding */
    assert_true(fabs(e.error - sum[2]) < 0.01 * sum[2]);
    assert_true(fabs(e.plain - sum[0]) < 0.01 * sum[0]);
    assert_true(sum[2] < 0.8 * sum[1] && sum[2] < 0.8 * sum[0]);
    gptq_input_free(&in);
    hessian_free(&h);
    free(y);
}

static void better_than_rounding(void **state)
{
    static const char *const types[] = {"q4_0", "q4_1", "q5_0", "iq4_nl", "q8_0", "mxfp4"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        rows_of(format_encoded_as(types[i]), false);
}

/* Integers of published layouts: groups of a block and of several, zero points of their own and one for all; and levels. */
static void better_than_rounding_of_ints(void **state)
{
    static const struct int_grid grids[] = {{15, -1, 1, 15, FORMAT_F16, 64, 0, NULL},
                                            {15, 8, 0, 15, FORMAT_BF16, 64, 0, NULL},
                                            {15, -1, 0, 15, FORMAT_F16, N, 0, NULL},
                                            {254, 127, 0, 0, FORMAT_BF16, N, 1, NULL},
                                            {.levels = nf4_levels}};
    for (size_t i = 0; i < sizeof grids / sizeof *grids; i++) {
        struct format f = *format_by_id(grids[i].levels   ? FORMAT_NF4
                                        : grids[i].code_0 ? FORMAT_INT8_32
                                                          : FORMAT_INT4_64);
        f.ints = &grids[i];
        rows_of(&f, false);
        rows_of(&f, true);
    }
}

int main(void)
{
    struct lathe_err err;
    kern_begin(NULL, false);
    assert_int_equal(pool_new(2, &pool, &err), 0);
    make_inputs();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),
        cmocka_unit_test(factor),
        cmocka_unit_test(better_than_rounding),
        cmocka_unit_test(better_than_rounding_of_ints),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return rc;
}
