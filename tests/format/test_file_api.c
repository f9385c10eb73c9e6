/* Tests of the public view of a file: values as text of any length, types that do not run. */
#include "unit.h"
#include <lathe.h>
#include <stdio.h>
#include <string.h>
#include "format/model_file.h"
#include "gguf_write.h"
#include "tmp_dir.h"

static lathe_file *save_and_open(struct gw *g)
{
    lathe_file *f;
    struct lathe_err err = {0};
    gw_save(g, tmp_path("f.gguf"));
    gw_free(g);
    if (lathe_file_open(tmp_path("f.gguf"), &f, &err))
        fail_msg("%s", err.text);
    return f;
}

static void values_as_text(void **state)
{
    static const char *const want[][2] = {
        {"u32", "7"},
        {"i8", "-5"},
        {"u8", "200"},
        {"u16", "60000"},
        {"i16", "-300"},
        {"i64", "-1099511627776"},
        {"u64", "18446744073709551615"},
        {"f32", "0.100000001"},
        {"f64", "0.10000000000000001"},
        {"yes", "true"},
        {"text", "one\\ntwo\\t?[31m"},
        {"ints", "[3] 1, -2, 3"},
        {"many", "[100] 0, 1, 2, 3, 4, 5, 6, 7, …"},
        {"strings", "[2] a, 0123456789012345678901234567890123456789…"},
        {"nothing", "[0]"},
        {"nested", "[1] arrays"},
    };
    int32_t many[100];
    for (int i = 0; i < 100; i++)
        many[i] = i;
    struct gw *g = gw_new();
    gw_u32(g, "u32", 7);
    gw_raw(g, "i8", 2, MF_I8, &(int8_t){-5}, 1);
    gw_raw(g, "u8", 2, MF_U8, &(uint8_t){200}, 1);
    gw_raw(g, "u16", 3, MF_U16, &(uint16_t){60000}, 2);
    gw_raw(g, "i16", 3, MF_I16, &(int16_t){-300}, 2);
    gw_raw(g, "i64", 3, MF_I64, &(int64_t){-(1ll << 40)}, 8);
    gw_raw(g, "u64", 3, MF_U64, &(uint64_t){UINT64_MAX}, 8);
    gw_f32(g, "f32", 0.1f);
    gw_raw(g, "f64", 3, MF_F64, &(double){0.1}, 8);
    gw_bool(g, "yes", true);
    gw_str(g, "text", "one\ntwo\t\x1b[31m");
    gw_i32s(g, "ints", (int32_t[]){1, -2, 3}, 3);
    gw_i32s(g, "many", many, 100);
    gw_strs(g, "strings", (const char *[]){"a", "01234567890123456789012345678901234567890123456789"}, 2);
    gw_strs(g, "nothing", NULL, 0);
    gw_raw(g, "nested", 6, MF_ARRAY, "\x9\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
    lathe_file *f = save_and_open(g);
    assert_int_equal(lathe_file_n_meta(f), sizeof want / sizeof *want);
    for (uint64_t i = 0; i < lathe_file_n_meta(f); i++) {
        char value[200];
        assert_string_equal(lathe_file_meta(f, i, value, sizeof value), want[i][0]);
        assert_string_equal(value, want[i][1]);
    }
    char value[8] = "unset";
    assert_null(lathe_file_meta(f, 1000, value, sizeof value));
    assert_string_equal(value, "");
    lathe_file_free(f);
}

/* However small the room, the text ends in NUL inside it and is whole UTF-8. */
static void text_is_cut_between_characters(void **state)
{
    struct gw *g = gw_new();
    gw_str(g, "k", "aä€😀 and so on\n\n\n\n");
    lathe_file *f = save_and_open(g);
    for (size_t n = 0; n < 40; n++) {
        char value[40];
        memset(value, 'x', sizeof value);
        assert_string_equal(lathe_file_meta(f, 0, value, n), "k");
        if (n == 0)
            continue;
        size_t len = strnlen(value, sizeof value);
        assert_true(len < n);
        for (size_t i = 0; i < len;) { /* each lead byte has its followers */
            unsigned char c = (unsigned char)value[i];
            size_t size = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
            assert_true(c < 0x80 || c >= 0xc2);
            assert_true(i + size <= len);
            i += size;
        }
        assert_true(len == 28 || n <= len + 8); /* no more is cut than the ellipsis and a character need */
    }
    lathe_file_free(f);
}

static void tensors_of_types_that_do_not_run(void **state)
{
    static const struct {
        uint32_t type;
        const char *name;
        bool runs;
    } rows[] = {{0, "F32", true},
                {12, "Q4_K", true},
                {15, "Q8_K", false},
                {4, "type 4", false},
                {4000000000u, "type 4000000000", false}};
    struct gw *g = gw_new();
    uint8_t data[2048] = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%zu", i);
        gw_tensor(g, name, rows[i].type, 2, (uint64_t[]){256, 2}, data, sizeof data);
    }
    lathe_file *f = save_and_open(g);
    struct lathe_file_tensor t;
    assert_int_equal(lathe_file_n_tensor(f), sizeof rows / sizeof *rows);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(lathe_file_tensor_at(f, i, &t), 0);
        assert_string_equal(t.type, rows[i].name);
        assert_true(t.runnable == rows[i].runs && t.dim[0] == 256 && t.dim[1] == 2 && t.dim[3] == 1 &&
                    t.n_dim == 2);
    }
    assert_int_equal(lathe_file_tensor_at(f, 5, &t), LATHE_E_USAGE);
    lathe_file_free(f);
    lathe_file_free(NULL);
}

static void failures_leave_nothing(void **state)
{
    lathe_file *f = (void *)&f;
    struct lathe_err err;
    assert_int_equal(lathe_file_open(tmp_path("absent"), &f, &err), LATHE_E_FILE);
    assert_null(f);
    assert_int_equal(lathe_file_open(tmp_path("absent"), &f, NULL), LATHE_E_FILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_as_text),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(tensors_of_types_that_do_not_run),
        cmocka_unit_test(failures_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
