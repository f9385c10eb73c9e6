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

static const struct hessian_room in_memory = {.memory_bytes = UINT64_MAX},
                                 in_file = {.window_bytes = 1,
                                            .folder = "."}; /* the least windows there are */
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
    assert_int_equal(hessian_new(N, &in_memory, &h, &err), 0);
    hessian_add(&h, p, x[0], N, 300);
    hessian_add(&h, p, x[300], N, ROWS - 300);
    assert_false(hessian_next(&h));
    assert_int_equal(h.n_row, ROWS);
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

/* Window by window, as by_layer.c does. */
static void rounded(const struct format *f, const struct gptq_input *in, const float *w, int n_row,
                    uint8_t *y, struct gptq_error *e)
{
    static float lost[N][GPTQ_ROWS];
    int ends[N / GPTQ_EACH + 2], n = 0;
    for (int at = 0; at < N; at = ends[n++])
        ends[n] = hessian_window(in->h, at, GPTQ_EACH);
    for (int i = 0; i < n; i++)
        gptq_compare(f, in, w, n_row, i ? ends[i - 1] : 0, ends[i], e);
    while (n--)
        gptq_rows(f, in, w, n_row, n ? ends[n - 1] : 0, ends[n], lost, y, e);
}

/* What is worked on in windows, in a file, has the bits of what is in memory; few rows have no factor at a small damping. */
static void windows_of(int n_row, bool sorted)
{
    const struct format *f = format_encoded_as("q4_0");
    struct hessian h[2];
    struct gptq_input in[2];
    struct gptq_error e[2] = {{0}};
    struct lathe_err err;
    uint8_t y[2][LANES * N];
    assert_int_equal(hessian_new(N, &in_memory, &h[0], &err), 0);
    assert_int_equal(hessian_new(N, &in_file, &h[1], &err), 0);
    assert_true(hessian_window(&h[0], 0, GPTQ_EACH) == N && hessian_window(&h[1], 0, GPTQ_EACH) == GPTQ_EACH);
    for (int i = 0; i < 2; i++) {
        int n_window = 0;
        do {
            hessian_add(&h[i], pool, x[0], N, n_row);
            n_window++;
        } while (hessian_next(&h[i]));
        assert_true(i ? n_window > 5 : n_window == 1);
        assert_int_equal(gptq_prepare(&h[i], pool, 1e-9, sorted, &in[i], &err), 0);
        rounded(f, &in[i], x[0], LANES, y[i], &e[i]);
    }
    assert_true(in[0].damping == in[1].damping && (in[0].damping > 1e-9) == (n_row < N));
    assert_memory_equal(in[0].d, in[1].d, N * sizeof(float));
    for (int i = 0; i < N; i++)
        assert_memory_equal(h[0].h + i * h[0].stride + i, h[1].h + i * h[1].stride + i,
                            (size_t)(N - i) * sizeof(float));
    assert_memory_equal(y[0], y[1], (size_t)(LANES * N / f->block_n * f->block_bytes));
    assert_true(e[0].error == e[1].error && e[0].plain == e[1].plain && e[0].value == e[1].value);
    for (int i = 0; i < 2; i++) {
        gptq_input_free(&in[i]);
        hessian_free(&h[i]);
    }
}

static void windows(void **state)
{
    for (int sorted = 0; sorted < 2; sorted++) {
        windows_of(ROWS, sorted);
        windows_of(100, sorted);
    }
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
                rounded(f, &in, w[r], N_OUT - r < LANES ? N_OUT - r : LANES, y + (size_t)r * row_bytes, &e);
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
        cmocka_unit_test(windows),
        cmocka_unit_test(better_than_rounding),
        cmocka_unit_test(better_than_rounding_of_ints),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    return rc;
}
