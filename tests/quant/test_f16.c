/* Tests of the half-precision conversions: all 65536 halves, and every boundary between two of them. */
#include "unit.h"
#include <math.h>
#include <string.h>
#include "gguf_write.h"
#include "quant/format.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static uint32_t bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float of_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* The value of a finite half by its definition, in double. */
static double half_value(uint16_t h)
{
    int exp = h >> 10 & 31, frac = h & 0x3ff;
    double v = exp ? ldexp(1024 + frac, exp - 25) : ldexp(frac, -24);
    return h & 0x8000 ? -v : v;
}

static void every_half_to_float_and_back(void **state)
{
    for (uint32_t h = 0; h < 65536; h++) {
        float x = f16_to_f32((uint16_t)h);
        bool nan = (h & 0x7fff) > 0x7c00;
        if (nan) {
            assert_true(isnan(x));
            assert_int_equal(f32_to_f16(x), h | 0x200); /* quiet, payload kept */
            continue;
        }
        if ((h & 0x7fff) == 0x7c00)
            assert_true(isinf(x) && !signbit(x) == !(h & 0x8000));
        else
            assert_int_equal(bits(x), bits((float)half_value((uint16_t)h)));
        assert_int_equal(f32_to_f16(x), h);
    }
}

/* Between two halves lies one midpoint, an f32; it goes to the even one, its neighbours to their own side. */
static void rounding_at_every_midpoint(void **state)
{
    for (uint32_t sign = 0; sign < 2; sign++)
        for (uint32_t h = 0; h < 0x7c00; h++) {
            double up = h == 0x7bff ? 65536 : half_value((uint16_t)(h + 1));
            float mid = (float)((half_value((uint16_t)h) + up) / 2), s = sign ? -1 : 1;
            uint32_t lo = h | sign << 15, hi = (h + 1) | sign << 15;
            assert_int_equal(f32_to_f16(s * mid), h & 1 ? hi : lo);
            assert_int_equal(f32_to_f16(s * of_bits(bits(mid) - 1)), lo);
            assert_int_equal(f32_to_f16(s * of_bits(bits(mid) + 1)), hi);
        }
}

static void extremes(void **state)
{
    assert_int_equal(f32_to_f16(0x1p-149f), 0);
    assert_int_equal(f32_to_f16(-0x1p-149f), 0x8000);
    assert_int_equal(f32_to_f16(-0.0f), 0x8000);
    assert_int_equal(f32_to_f16(3.4e38f), 0x7c00);
    assert_int_equal(f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(f32_to_f16(65520), 0x7c00);
}

static void bfloat16(void **state)
{
    for (uint32_t h = 0; h < 65536; h++)
        assert_int_equal(bits(bf16_to_f32((uint16_t)h)), h << 16);
}

#if defined(__x86_64__)
__attribute__((target("f16c,avx"))) static void same_as_the_hardware(void **state)
{
    if (!__builtin_cpu_supports("f16c")) {
        print_message("SKIPPED: this CPU has no F16C\n");
        skip();
    }
    uint64_t seed = 5;
    for (uint32_t h = 0; h < 65536; h++)
        assert_int_equal(bits(f16_to_f32((uint16_t)h)),
                         bits(_mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128((int)h)))));
    for (int i = 0; i < 4000000; i++) { /* the whole range, and the part of it that halves have */
        uint64_t r = gw_next(&seed);
        uint32_t u =
            i & 1 ? (uint32_t)r : (uint32_t)(r & 0x807fffff) | (uint32_t)(100 + (r >> 32) % 46) << 23;
        uint16_t want =
            (uint16_t)_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(of_bits(u)), _MM_FROUND_TO_NEAREST_INT));
        if (f32_to_f16(of_bits(u)) != want)
            fail_msg("%08x: %04x, not %04x", u, f32_to_f16(of_bits(u)), want);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_to_float_and_back),
        cmocka_unit_test(rounding_at_every_midpoint),
        cmocka_unit_test(extremes),
        cmocka_unit_test(bfloat16),
#if defined(__x86_64__)
        cmocka_unit_test(same_as_the_hardware),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
