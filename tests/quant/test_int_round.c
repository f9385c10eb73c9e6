/* The search of integer groups: no worse than plain rounding, exact where the numbers are on a grid, defined at the ends. */
#include "unit.h"
#include <float.h>
#include <math.h>
#include "gguf_write.h"
#include "quant/format.h"
#include "quant/int_fit.h"
#include "quant/parts.h"

enum { N = 128 };
static const struct int_grid grids[] = {{15, -1, 0, 15, FORMAT_F16, 0, 0, NULL},
                                        {15, 8, 0, 15, FORMAT_F16, 0, 0, NULL},
                                        {254, 127, 0, 0, FORMAT_BF16, 0, 0, NULL},
                                        {15, -1, 1, 15, FORMAT_BF16, 0, 0, NULL}};
enum { N_GRID = sizeof grids / sizeof *grids };

/* The error of the codes, which must be what is said. */
static double error_of(const float *x, const float *h, struct int_group g, const uint8_t *q)
{
    double e = 0;
    for (int i = 0; i < N; i++) {
        double d = (double)x[i] - (double)(g.d * (float)(q[i] - g.z));
        e += (double)(h ? h[i] : 1) * d * d;
    }
    return e;
}

static double plain(const struct int_grid *g, const float *x)
{
    float low = 0, high = 0;
    double e = 0;
    for (int i = 0; i < N; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    float d = g->zero >= 0 ? fmaxf(-low / (float)g->zero, high / (float)(g->q_hi - g->zero))
                           : (high - low) / (float)g->q_hi;
    d = g->scale_of == FORMAT_F16 ? f16_to_f32(f32_to_f16(d)) : bf16_to_f32(f32_to_bf16(d));
    float z = g->zero >= 0 ? (float)g->zero : fminf(fmaxf(rintf(-low / d), (float)g->z_lo), (float)g->z_hi);
    for (int i = 0; i < N; i++) {
        float q = fminf(fmaxf(rintf(x[i] / d) + z, 0), (float)g->q_hi);
        e += ((double)x[i] - (double)(d * (q - z))) * ((double)x[i] - (double)(d * (q - z)));
    }
    return e;
}

static void no_worse_than_plain(void **state)
{
    uint64_t seed = 5;
    float x[N], h[N];
    uint8_t q[N];
    for (int k = 0; k < N_GRID; k++) {
        double found = 0, without = 0;
        for (int round = 0; round < 200; round++) {
            for (int i = 0; i < N; i++) {
                x[i] =
                    (gw_uniform(&seed) + gw_uniform(&seed) + gw_uniform(&seed)) * (round % 3 ? 0.02f : 3.0f) +
                    (round % 5 ? 0 : 0.03f);
                h[i] = 1 + gw_uniform(&seed) * 0.9f;
            }
            struct int_group g = int_round(&grids[k], x, NULL, N, q);
            for (int i = 0; i < N; i++)
                assert_true(q[i] <= grids[k].q_hi);
            assert_true(fabs(error_of(x, NULL, g, q) - g.error) <= 1e-6 * g.error + 1e-12);
            if (g.error > plain(&grids[k], x) * 1.0001)
                fail_msg("grid %d, round %d: %g, plain %g", k, round, g.error, plain(&grids[k], x));
            double weighed = error_of(x, h, g, q);
            g = int_round(&grids[k], x, h, N, q);
            found += g.error;
            without += weighed;
        }
        assert_true(found < without);
    }
}

static void a_grid_comes_back(void **state)
{
    uint64_t seed = 6;
    float x[N];
    uint8_t q[N];
    for (int round = 0; round < 50; round++) {
        int z = 1 + round % 15;
        float d = f16_to_f32(f32_to_f16(0.001f * (float)(round + 1)));
        for (int i = 0; i < N; i++)
            x[i] = d * (float)((i == 0 ? 0 : i == 1 ? 15 : (int)(gw_next(&seed) % 16)) - z);
        struct int_group g = int_round(&grids[0], x, NULL, N, q);
        assert_true(g.d == d && g.z == z && g.error == 0);
    }
}

static void extremes(void **state)
{
    static const float size[] = {0, 1e-45f, 1e-38f, 1e-20f, 1, 60000, 1e30f};
    float x[N];
    uint8_t q[N];
    for (int k = 0; k < N_GRID; k++)
        for (size_t s = 0; s < sizeof size / sizeof *size; s++)
            for (int form = 0; form < 3; form++) {
                for (int i = 0; i < N; i++)
                    x[i] = form == 0 ? size[s] : form == 1 ? -size[s] : i == 7 ? size[s] : 0;
                struct int_group g = int_round(&grids[k], x, NULL, N, q);
                assert_true(isfinite(g.d) && g.d > 0 && g.z >= 0 && g.z <= 127);
                for (int i = 0; i < N; i++)
                    assert_true(isfinite(g.d * (float)(q[i] - g.z)) && q[i] <= grids[k].q_hi);
            }
}

/* Rows as blocks: what they decode to, and what rounding column by column finds in them, is what the codes mean. */
static void as_blocks(void **state)
{
    static const struct {
        uint32_t id;
        int group;
    } formats[N_GRID] = {{FORMAT_INT4_32, 0}, {FORMAT_INT4_128, 0}, {FORMAT_INT8_32, N}, {FORMAT_INT4_64, N}};
    uint64_t seed = 9;
    float x[N], back[N];
    uint8_t y[3 * N], q[N];
    for (int k = 0; k < N_GRID; k++) {
        struct int_grid grid = grids[k];
        struct format f = *format_by_id(formats[k].id);
        struct parts parts[N / 32];
        grid.group = formats[k].group;
        grid.code_0 = grid.q_hi > 15;
        f.ints = &grid;
        for (int i = 0; i < N; i++)
            x[i] = gw_uniform(&seed) + gw_uniform(&seed) + 0.1f;
        format_encode(&f, x, NULL, y, 1, N);
        f.decode(y, back, N);
        int_fit(&f, x, NULL, N, parts);
        for (int at = 0; at < N; at += int_fit_group(&f)) {
            struct int_group g = int_round(&grid, x + at, NULL, int_fit_group(&f), q + at);
            for (int i = at; i < at + int_fit_group(&f); i++) {
                struct parts *p = &parts[i / f.block_n];
                struct nearest near;
                float lanes[NEAREST_LANES] = {x[i]}, value[NEAREST_LANES];
                assert_true(back[i] == g.d * (float)(q[i] - g.z));
                assert_int_equal(int_fit_zero(&f, p), g.z);
                nearest_of(&f, p, 1, i % f.block_n, &near);
                nearest_put(&f, &near, lanes, i % f.block_n, p, 1, value);
                assert_true(fabsf(value[0] - x[i]) <= fabsf(back[i] - x[i]));
                assert_true(value[0] == near.w[0] * (float)(p->q[i % f.block_n] - grid.code_0 - g.z));
            }
        }
    }
}

/* A number that is none is not hidden. */
static void bad_numbers(void **state)
{
    struct int_grid grid = grids[0];
    struct format f = *format_by_id(FORMAT_INT4_64);
    float x[N] = {1, 2, 3}, back[N];
    uint8_t y[3 * N];
    f.ints = &grid;
    x[70] = NAN;
    format_encode(&f, x, NULL, y, 1, N);
    f.decode(y, back, N);
    for (int i = 0; i < N; i++)
        assert_true(isnan(back[i]) == (i >= 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_worse_than_plain), cmocka_unit_test(as_blocks),
                                       cmocka_unit_test(bad_numbers), cmocka_unit_test(a_grid_comes_back),
                                       cmocka_unit_test(extremes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
