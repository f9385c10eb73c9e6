/* The deterministic functions against long double libm, over the ranges that their header names; and their
 * bits, which may never change. */
#include "base/detmath.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>
#include "gguf_write.h"
#include "unit.h"

enum { N = 200000 };

static double uniform(uint64_t *state, double lo, double hi)
{
    return lo + (hi - lo) * (double)(gw_next(state) >> 11) / 9007199254740992.0;
}

static double relative(double got, long double want)
{
    return (double)fabsl(((long double)got - want) / want);
}

static void sin_and_cos(void **state_)
{
    uint64_t state = 1;
    double worst = 0;
    for (int i = 0; i < N; i++) {
        double x = uniform(&state, -1, 1) * pow(10, uniform(&state, -8, i % 2 ? 5.9 : 2)), s, c;
        det_sincos(x, &s, &c);
        worst = fmax(worst, (double)fmaxl(fabsl((long double)s - sinl(x)), fabsl((long double)c - cosl(x))));
    }
    printf("sincos: %.2g absolute below 8e5\n", worst);
    assert_true(worst < 1e-15);
    for (int i = 0; i < N; i++) {
        double x = uniform(&state, -1e9, 1e9), s, c;
        det_sincos(x, &s, &c);
        worst = fmax(worst, (double)fmaxl(fabsl((long double)s - sinl(x)), fabsl((long double)c - cosl(x))));
    }
    printf("sincos: %.2g absolute below 1e9\n", worst);
    assert_true(worst < 1e-15);
}

static void logarithm(void **state_)
{
    uint64_t state = 2;
    double worst = 0;
    for (int i = 0; i < N; i++) {
        double x = exp(uniform(&state, -700, 700));
        x = i % 3 ? x : 1 + uniform(&state, -0.4, 0.9);
        if (x != 1)
            worst = fmax(worst, relative(det_log(x), logl(x)));
    }
    printf("log: %.2g relative\n", worst);
    assert_true(worst < 1e-15);
    assert_true(det_log(1) == 0);
}

static void exponential(void **state_)
{
    uint64_t state = 3;
    double worst = 0;
    for (int i = 0; i < N; i++) {
        double x = i % 2 ? uniform(&state, -700, 700) : uniform(&state, -1, 1);
        worst = fmax(worst, relative(det_exp(x), expl(x)));
    }
    printf("exp: %.2g relative\n", worst);
    assert_true(worst < 1e-15);
    assert_true(det_exp(0) == 1);
}

/* An error of the logarithm grows with the exponent: |y log x| eps. */
static void power(void **state_)
{
    uint64_t state = 4;
    double worst = 0;
    for (int i = 0; i < N; i++) {
        double x = exp(uniform(&state, -30, 30)), y = uniform(&state, -1, 1);
        double bound = (2 + 2 * fabs(y * log(x))) * DBL_EPSILON;
        worst = fmax(worst, relative(det_pow(x, y), powl(x, y)) / bound);
    }
    printf("pow: %.2g of its bound\n", worst);
    assert_true(worst <= 1);
}

static void the_bits_do_not_change(void **state_)
{
    uint64_t state = 5, hash = 0;
    for (int i = 0; i < 20000; i++) {
        double v[5], x = uniform(&state, -600, 600);
        det_sincos(x * 100, &v[0], &v[1]);
        v[2] = det_exp(x);
        v[3] = det_log(v[2]);
        v[4] = det_pow(1 + fabs(x), -0.3);
        hash = XXH3_64bits_withSeed(v, sizeof v, hash);
    }
    printf("hash %016llx\n", (unsigned long long)hash);
    assert_true(hash == 0x8565995665825abcull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sin_and_cos),
        cmocka_unit_test(logarithm),
        cmocka_unit_test(exponential),
        cmocka_unit_test(power),
        cmocka_unit_test(the_bits_do_not_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
