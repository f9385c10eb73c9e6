/* Tests of the weight formats: the table, each decoder against its definition, at the end of a page and at
 * odd addresses. */
#include "unit.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "gguf_write.h"
#include "quant/format.h"

enum { N_BLOCK = 64 };

static const uint32_t run_types[] = {FORMAT_F32,  FORMAT_F16,  FORMAT_BF16,
                                     FORMAT_Q4_0, FORMAT_Q4_1, FORMAT_Q8_0};

static void rows_are_found(void **state)
{
    static const struct {
        uint32_t id;
        const char *name;
        int block_n, block_bytes;
    } want[] = {{0, "F32", 1, 4},    {1, "F16", 1, 2},       {2, "Q4_0", 32, 18},    {3, "Q4_1", 32, 20},
                {8, "Q8_0", 32, 34}, {12, "Q4_K", 256, 144}, {14, "Q6_K", 256, 210}, {20, "IQ4_NL", 32, 18},
                {30, "BF16", 1, 2},  {39, "MXFP4", 32, 17}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct format *f = format_by_id(want[i].id);
        assert_non_null(f);
        assert_string_equal(f->name, want[i].name);
        assert_true(f->block_n == want[i].block_n && f->block_bytes == want[i].block_bytes &&
                    f->id == want[i].id);
        assert_ptr_equal(format_by_name(f->name), f);
    }
    int n_run = 0;
    for (uint32_t id = 0; id < 1000; id++) {
        const struct format *f = format_by_id(id);
        if (!f)
            continue;
        assert_true(f->runs == (f->decode != NULL));
        n_run += f->runs;
    }
    assert_int_equal(n_run, 31);
    assert_null(format_by_id(4)); /* a type that was removed */
    assert_null(format_by_id(UINT32_MAX));
    assert_null(format_by_name("q4_0"));
    assert_null(format_by_name(""));
}

/* Value i of the blocks at p by the format's definition, in double; the sum of Q4_1 is rounded once, to f32.
 */
static double value(uint32_t type, const uint8_t *p, int i)
{
    const struct format *fmt = format_by_id(type);
    const uint8_t *b = p + i / fmt->block_n * fmt->block_bytes;
    int k = i % 32;
    uint16_t d, m;
    float f;
    memcpy(&d, b, 2);
    switch (type) {
    case FORMAT_F32:
        memcpy(&f, b, 4);
        return (double)f;
    case FORMAT_F16:
        return (double)f16_to_f32(d);
    case FORMAT_BF16:
        return (double)bf16_to_f32(d);
    case FORMAT_Q4_0:
        return (double)f16_to_f32(d) * ((k < 16 ? b[2 + k] & 15 : b[2 + k - 16] >> 4) - 8);
    case FORMAT_Q4_1:
        memcpy(&m, b + 2, 2);
        return (double)(float)((double)f16_to_f32(d) * (k < 16 ? b[4 + k] & 15 : b[4 + k - 16] >> 4) +
                               (double)f16_to_f32(m));
    default:
        return (double)f16_to_f32(d) * (int8_t)b[2 + k];
    }
}

/* n bytes that end where a page of no access begins; at[0] is to be unmapped. */
static uint8_t *at_page_end(size_t n, void **at, size_t *n_map)
{
    size_t page = 4096, body = (n + page - 1) / page * page;
    *n_map = body + page;
    uint8_t *p = mmap(NULL, *n_map, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + body, page, PROT_NONE), 0);
    *at = p;
    return p + body - n;
}

/* Random bytes are random nibbles, and scales of every kind: subnormal, infinite, NaN. */
static void decoders_follow_the_definition(void **state)
{
    uint64_t seed = 11;
    for (size_t t = 0; t < sizeof run_types / sizeof *run_types; t++)
        for (int round = 0; round < 200; round++) {
            const struct format *f = format_by_id(run_types[t]);
            size_t n = (size_t)(f->block_n * (1 + round % 5)),
                   n_bytes = n / (size_t)f->block_n * (size_t)f->block_bytes, n_map;
            float y[160 + 1];
            void *map;
            uint8_t *x = at_page_end(n_bytes, &map, &n_map);
            for (size_t i = 0; i < n_bytes; i++)
                x[i] = (uint8_t)gw_next(&seed);
            y[n] = 1234;
            f->decode(x, y, (int64_t)n);
            for (size_t i = 0; i < n; i++) {
                double want = value(run_types[t], x, (int)i);
                if (isnan(want) ? !isnan(y[i]) : (double)y[i] != want)
                    fail_msg("%s, value %zu: %g, not %g", f->name, i, (double)y[i], want);
            }
            assert_true(y[n] == 1234);
            munmap(map, n_map);
        }
}

static void known_blocks(void **state)
{
    float y[32];
    uint8_t q4_0[18] = {0x00, 0x3c, 0x0f}, q4_1[20] = {0x00, 0x40, 0x00, 0xbc, 0xf0},
            q8_0[34] = {0x00, 0x38, 0x80, 0x7f};
    format_by_id(FORMAT_Q4_0)->decode(q4_0, y, 32); /* d = 1 */
    assert_true(y[0] == 7 && y[16] == -8 && y[1] == -8);
    format_by_id(FORMAT_Q4_1)->decode(q4_1, y, 32); /* d = 2, m = -1 */
    assert_true(y[0] == -1 && y[16] == 29 && y[1] == -1);
    format_by_id(FORMAT_Q8_0)->decode(q8_0, y, 32); /* d = 0.5 */
    assert_true(y[0] == -64 && y[1] == 63.5f && y[2] == 0);
}

/* What is encoded comes back within half a step of its block (and the rounding of scales). */
static void encoding_and_decoding(void **state)
{
    static const double bound[] = {0,    0.0005, 0.004,
                                   0.14, 0.07,   0.0045}; /* of the block's largest magnitude */
    uint64_t seed = 3;
    float x[32 * N_BLOCK], y[32 * N_BLOCK];
    uint8_t out[sizeof x];
    for (int i = 0; i < 32 * N_BLOCK; i++)
        x[i] = gw_uniform(&seed) * ldexpf(1, i / 32 % 12 - 6);
    memset(x, 0, 32 * sizeof *x); /* a block of zeros */
    for (size_t t = 0; t < sizeof run_types / sizeof *run_types; t++) {
        const struct format *f = format_by_id(run_types[t]);
        assert_int_equal(gw_encode(run_types[t], x, 32 * N_BLOCK, out),
                         32 * N_BLOCK / f->block_n * f->block_bytes);
        f->decode(out, y, 32 * N_BLOCK);
        for (int b = 0; b < N_BLOCK; b++) {
            double top = 0;
            for (int i = 32 * b; i < 32 * b + 32; i++)
                top = fmax(top, fabs((double)x[i]));
            for (int i = 32 * b; i < 32 * b + 32; i++)
                if (!(fabs((double)(x[i] - y[i])) <= bound[t] * top))
                    fail_msg("%s: %g became %g of %g", f->name, (double)x[i], (double)y[i], top);
        }
    }
}

/* Against another implementation: make_golden.py. Bit for bit, the signs of zeros included. */
static void same_as_the_package(void **state)
{
    enum { MAX_BYTES = 1 << 20 };
    uint8_t *raw = malloc(MAX_BYTES);
    FILE *in = fopen("tests/quant/golden.bin", "rb");
    assert_non_null(in);
    size_t n = fread(raw, 1, MAX_BYTES, in), at = 0, n_type = 0;
    fclose(in);
    assert_true(n < MAX_BYTES);
    for (; at < n; n_type++) {
        uint32_t head[2];
        memcpy(head, raw + at, sizeof head);
        const struct format *f = format_by_id(head[0]);
        size_t n_w = head[1] * (size_t)f->block_n, n_bytes = head[1] * (size_t)f->block_bytes;
        float *y = malloc(n_w * sizeof *y);
        at += sizeof head;
        f->decode(raw + at, y, (int64_t)n_w);
        at += n_bytes;
        for (size_t i = 0; i < n_w; i++) {
            uint32_t want, got;
            memcpy(&want, raw + at + 4 * i, 4);
            memcpy(&got, &y[i], 4);
            if (got != want)
                fail_msg("%s, weight %zu: %08x, the package has %08x", f->name, i, got, want);
        }
        at += 4 * n_w;
        free(y);
    }
    assert_true(at == n);
    int n_block_format = 0;
    for (uint32_t id = 0; id < 1000; id++)
        n_block_format += format_by_id(id) && format_by_id(id)->take && format_in_gguf(id);
    assert_int_equal(n_type, n_block_format); /* none is left out */
    free(raw);
}

/* Formats of this program alone: 19 bits of a scale, integers less a zero point; levels of NF4. */
static void known_blocks_of_our_own(void **state)
{
    float y[128];
    uint8_t int4[67] = {0x80, 0x3f, 0x20 | 7, 0xf0}, /* d = 1 + 2^-10, z = 7 */
        int8[131] = {0x00, 0x40, 0x00, 0x80, 0x7f},  /* d = 2 */
        nf4[36] = {0x00, 0x00, 0x20, 0x41, 0x0f, 0x71};
    format_by_id(FORMAT_INT4_128)->decode(int4, y, 128);
    assert_true(y[0] == -7 * 1.0009765625f && y[1] == 8 * 1.0009765625f && y[127] == -7 * 1.0009765625f);
    format_by_id(FORMAT_INT4_64)->decode(int4, y, 64);
    assert_true(y[1] == 8 * 1.0009765625f && y[63] == -7 * 1.0009765625f);
    format_by_id(FORMAT_INT4_32)->decode(int4, y, 32);
    assert_true(y[1] == 8 * 1.0009765625f && y[31] == -7 * 1.0009765625f);
    format_by_id(FORMAT_INT8_128)->decode(int8, y, 128);
    assert_true(y[0] == -256 && y[1] == 254 && y[127] == 0);
    format_by_id(FORMAT_INT8_32)->decode(int8, y, 32);
    assert_true(y[0] == -256 && y[1] == 254 && y[31] == 0);
    format_by_id(FORMAT_NF4)->decode(nf4, y, 64); /* d = 10 */
    assert_true(y[0] == -10 && y[1] == 10 && y[2] == 0 && y[3] == 10 * -0.6961928009986877f && y[63] == -10);
}

static void microscaling_nan(void **state)
{
    uint8_t x[17] = {255, 0x21};
    float y[32];
    format_by_id(FORMAT_MXFP4)->decode(x, y, 32);
    for (int i = 0; i < 32; i++)
        assert_true(isnan(y[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_found),
        cmocka_unit_test(decoders_follow_the_definition),
        cmocka_unit_test(known_blocks),
        cmocka_unit_test(encoding_and_decoding),
        cmocka_unit_test(same_as_the_package),
        cmocka_unit_test(microscaling_nan),
        cmocka_unit_test(known_blocks_of_our_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
