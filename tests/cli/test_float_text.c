/* Floats as text read as the same floats. */
#include "unit.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cli/float_text.h"
#include "kern/kern_case.h"

static void round_trip(float x)
{
    char text[FLOAT_TEXT + 1], *end;
    size_t n = float_text(x, text);
    assert_true(n > 0 && n < FLOAT_TEXT);
    text[n] = 0;
    float back = strtof(text, &end);
    if (*end || back != x || (text[0] != '-' && text[0] < '0'))
        fail_msg("%a is '%s'", (double)x, text);
}

static void same_floats(void **state)
{
    uint64_t random = 1;
    for (int e = -149; e < 128; e++)
        for (int i = 0; i < 200; i++) {
            float x = ldexpf(1 + (float)(kern_random(&random) % 8388608) / 8388608, e);
            round_trip(i % 2 ? x : -x);
            round_trip(nextafterf(ldexpf(1, e), i % 3 ? 0 : INFINITY));
        }
    const float edges[] = {
        0,           1,    10,      9.99f, 9.9999999f, 0.1f, 0.099999994f, 1e-5f, 9.9999997e-6f,
        0.99999994f, 1e9f, 3.4e38f, 1e-45f};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        round_trip(edges[i]);
        round_trip(-edges[i]);
    }
}

static void is_text(float x, const char *want)
{
    char text[FLOAT_TEXT];
    size_t n = float_text(x, text);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(text, want, n);
}

static void short_ones_are_short(void **state)
{
    is_text(0.5f, "0.5");
    is_text(-2, "-2");
    is_text(0, "0");
    is_text(0.0625f, "0.0625");
    is_text(0.1f, "0.100000001");
    is_text(1234, "1234");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_floats), cmocka_unit_test(short_ones_are_short)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
