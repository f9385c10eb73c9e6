/* Encoders: nearest, and defined for every input. */
#include "unit.h"
#include <math.h>
#include <string.h>
#include "gguf_write.h"
#include "quant/encode.h"

static void encode_q8_0(const float *x, uint8_t *y, int64_t n)
{
    format_encode(format_by_id(FORMAT_Q8_0), x, NULL, y, 1, n);
}

static void names(void **state)
{
    char all[300];
    assert_int_equal(format_encoded_as("q8_0")->id, FORMAT_Q8_0);
    assert_int_equal(format_encoded_as("BF16")->id, FORMAT_BF16);
    assert_int_equal(format_encoded_as("q4_K")->id, FORMAT_Q4_K);
    assert_null(format_encoded_as("iq2_xxs"));
    assert_null(format_encoded_as(""));
    assert_false(format_can_encode(NULL));
    format_encoded_names(all, sizeof all);
    assert_string_equal(all,
                        "f32 f16 q4_0 q4_1 q5_0 q5_1 q8_0 q2_k q3_k q4_k q5_k q6_k iq4_nl iq4_xs bf16 mxfp4");
    format_encoded_names(all, 9);
    assert_string_equal(all, "f32 f16 ");
}

/* Half a step of the block's scale is the most that a weight may be off, but for the largest ones, which a better scale for all
 * may cut; and the scale itself is rounded to f16. The sum is below that of the plain scale, which takes the largest to 127. */
static void q8_0_is_near(void **state)
{
    uint64_t seed = 1;
    float x[32], y[32];
    uint8_t block[34];
    for (int n = 0; n < 2000; n++) {
        float size = ldexpf(1, n % 40 - 24), most = 0;
        double error = 0, plain = 0;
        for (int i = 0; i < 32; i++) {
            x[i] = n % 7 ? size * gw_uniform(&seed) : i == n % 32 ? -size : 0;
            most = fmaxf(most, fabsf(x[i]));
        }
        encode_q8_0(x, block, 32);
        format_by_id(FORMAT_Q8_0)->decode(block, y, 32);
        float step = most / 127, slack = 127 * fmaxf(step * 0x1p-11f, 0x1p-25f),
              d = f16_to_f32(f32_to_f16(step));
        for (int i = 0; i < 32; i++) {
            double w = d > 0 ? (double)d * (double)rintf(fminf(fmaxf(x[i] / d, -127), 127)) : 0;
            assert_true(fabsf(x[i] - y[i]) <= step * 0.7f + slack);
            error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
            plain += ((double)x[i] - w) * ((double)x[i] - w);
        }
        assert_true(error <= plain * 1.000001);
    }
}

static void what_is_no_number_is_seen(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    uint8_t block[68];
    float y[64];
    for (int k = 0; k < 3; k++) {
        float x[64] = {[5] = bad[k], [40] = 1};
        encode_q8_0(x, block, 64);
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
        encode_q8_0(x, block, 32);
        assert_true((int8_t)block[2] >= -127 && (int8_t)block[3] >= -127);
        format_by_id(FORMAT_Q8_0)->decode(block, y, 32);
        assert_true(size[k] > 1 || fabsf(y[0]) <= 1e-5f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(q8_0_is_near),
                                       cmocka_unit_test(what_is_no_number_is_seen),
                                       cmocka_unit_test(extremes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
