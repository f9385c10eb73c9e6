/* Scales of levels: the largest number without weights, and no worse than that with them. */
#include "unit.h"
#include <math.h>
#include "quant/encode.h"
#include "quant/int_fit.h"
#include "quant/level_round.h"
#include "quant/parts.h"

enum { N = 64 };

static double error_of(const float *x, const float *h, float d)
{
    double sum = 0;
    for (int k = 0; k < N; k++) {
        double e = (double)(x[k] - d * nf4_levels[level_nearest(nf4_levels, x[k] / d)]);
        sum += (double)h[k] * e * e;
    }
    return sum;
}

static void nearest(void **state)
{
    for (int c = 0; c < 16; c++)
        assert_int_equal(level_nearest(nf4_levels, nf4_levels[c]), c);
    assert_int_equal(level_nearest(nf4_levels, -3), 0);
    assert_int_equal(level_nearest(nf4_levels, 3), 15);
}

static void scales(void **state)
{
    float x[N], h[N];
    int better = 0;
    for (int seed = 1; seed < 50; seed++) {
        for (int k = 0; k < N; k++) {
            x[k] = sinf((float)(seed * 37 + k * 11)) * (float)(k % 7 + 1);
            h[k] = (float)((k * seed) % 5);
        }
        float most = level_scale(nf4_levels, x, NULL, N), best = level_scale(nf4_levels, x, h, N), top = 0;
        for (int k = 0; k < N; k++)
            top = fmaxf(top, fabsf(x[k]));
        assert_true(most == top && best <= most && best > 0);
        assert_true(error_of(x, h, best) <= error_of(x, h, most));
        better += best < most;
    }
    assert_true(better > 5);
}

/* A block comes back as what it stands for; zeros are zeros, and a number that is none makes NaN of its block alone. */
static void blocks(void **state)
{
    const struct int_grid grid = {.levels = nf4_levels};
    struct format f = *format_by_id(FORMAT_NF4);
    f.ints = &grid;
    float x[3 * N] = {0}, back[3 * N];
    uint8_t coded[3 * 36];
    for (int k = 0; k < N; k++)
        x[k] = 0.5f * nf4_levels[k % 16];
    x[2 * N + 5] = INFINITY;
    format_encode(&f, x, NULL, coded, 1, 3 * N);
    f.decode(coded, back, 3 * N);
    for (int k = 0; k < 2 * N; k++)
        assert_true(back[k] == x[k]);
    for (int k = 2 * N; k < 3 * N; k++)
        assert_true(isnan(back[k]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nearest), cmocka_unit_test(scales),
                                       cmocka_unit_test(blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
