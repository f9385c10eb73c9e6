/* Encoders: nearest, and defined for every input. */
#include "unit.h"
#include <math.h>
#include <string.h>
#include "gguf_write.h"
#include "quant/encode.h"

static void names(void **state)
{
    assert_int_equal(format_encoded_as("q8_0")->id, FORMAT_Q8_0);
    assert_int_equal(format_encoded_as("BF16")->id, FORMAT_BF16);
    assert_null(format_encoded_as("q4_0"));
    assert_null(format_encoder(FORMAT_Q4_0));
}

/* Of a block's scale, half a step is the most that a weight may be off, and the scale itself is rounded to f16. */
static void q8_0_is_nearest(void **state)
{
    uint64_t seed = 1;
    float x[32], y[32];
    uint8_t block[34];
    for (int n = 0; n < 2000; n++) {
        float size = ldexpf(1, n % 40 - 24), most = 0;
        for (int i = 0; i < 32; i++) {
            x[i] = n % 7 ? size * gw_uniform(&seed) : i == n % 32 ? -size : 0;
            most = fmaxf(most, fabsf(x[i]));
        }
        format_encoder(FORMAT_Q8_0)(x, block, 32);
        format_by_id(FORMAT_Q8_0)->decode(block, y, 32);
        float step = most / 127, slack = 127 * fmaxf(step * 0x1p-11f, 0x1p-25f);
        for (int i = 0; i < 32; i++)
            assert_true(fabsf(x[i] - y[i]) <= step / 2 * 1.0001f + slack);
    }
}

/* Halves go away from zero; the largest weight is 127 steps, with its sign. */
static void q8_0_rounds_as_others_do(void **state)
{
    float x[32] = {-127, 0.5f, -0.5f, 1.5f, 2.5f, -2.5f, 126.4f};
    uint8_t block[34];
    uint16_t one = f32_to_f16(1);
    format_encoder(FORMAT_Q8_0)(x, block, 32);
    assert_memory_equal(block, &one, 2);
    static const int8_t want[] = {-127, 1, -1, 2, 3, -3, 126, 0};
    assert_memory_equal(block + 2, want, sizeof want);
}

static void what_is_no_number_is_seen(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    uint8_t block[68];
    float y[64];
    for (int k = 0; k < 3; k++) {
        float x[64] = {[5] = bad[k], [40] = 1};
        format_encoder(FORMAT_Q8_0)(x, block, 64);
        format_by_id(FORMAT_Q8_0)->decode(block, y, 64);
        for (int i = 0; i < 32; i++)
            assert_true(isnan(y[i]) && !isnan(y[32 + i]));
    }
}

static void extremes(void **state)
{
    static const float size[] = {0, 1e-45f, 1e-40f, 1e-38f, 3.4e38f, -0.0f};
    uint8_t block[34];
    float y[32];
    for (size_t k = 0; k < sizeof size / sizeof *size; k++) {
        float x[32] = {size[k], -size[k]};
        format_encoder(FORMAT_Q8_0)(x, block, 32);
        assert_true((int8_t)block[2] >= -127 && (int8_t)block[3] >= -127);
        format_by_id(FORMAT_Q8_0)->decode(block, y, 32);
        assert_true(size[k] > 1 || fabsf(y[0]) <= 1e-5f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(q8_0_is_nearest),
                                       cmocka_unit_test(q8_0_rounds_as_others_do),
                                       cmocka_unit_test(what_is_no_number_is_seen),
                                       cmocka_unit_test(extremes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
