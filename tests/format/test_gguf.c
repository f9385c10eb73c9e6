/* Tests of well-formed GGUF files: every kind of value, typed reads, tensors, lookup, identity. */
#include "unit.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "format/model_file.h"
#include "gguf_write.h"
#include "quant/format.h"
#include "tmp_dir.h"

static struct model_file *open_ok(const char *path)
{
    struct model_file *f;
    struct lathe_err err = {0};
    if (model_file_open(path, &f, &err))
        fail_msg("%s", err.text);
    return f;
}

static struct model_file *save_and_open(struct gw *g)
{
    const char *path = tmp_path("m.gguf");
    gw_save(g, path);
    gw_free(g);
    return open_ok(path);
}

static void raw(struct gw *g, const char *key, uint32_t kind, const void *p, size_t n)
{
    gw_raw(g, key, strlen(key), kind, p, n);
}

static struct gw *numbers(void)
{
    struct gw *g = gw_new();
    raw(g, "u8", MF_U8, &(uint8_t){200}, 1);
    raw(g, "i8", MF_I8, &(int8_t){-5}, 1);
    raw(g, "u16", MF_U16, &(uint16_t){60000}, 2);
    raw(g, "i16", MF_I16, &(int16_t){300}, 2);
    raw(g, "u32", MF_U32, &(uint32_t){4000000000u}, 4);
    raw(g, "i32", MF_I32, &(int32_t){70000}, 4);
    raw(g, "u64", MF_U64, &(uint64_t){1ull << 40}, 8);
    raw(g, "i64", MF_I64, &(int64_t){-(1ll << 40)}, 8);
    raw(g, "f32", MF_F32, &(float){1.5f}, 4);
    raw(g, "f64", MF_F64, &(double){0.1}, 8);
    raw(g, "f64big", MF_F64, &(double){1e300}, 8);
    raw(g, "nan", MF_F32, &(float){NAN}, 4);
    gw_bool(g, "bool", true);
    gw_str(g, "str", "grüße");
    gw_i32s(g, "i32s", (int32_t[]){1, -2, 3}, 3);
    raw(g, "u32s", MF_ARRAY, "\4\0\0\0\1\0\0\0\0\0\0\0\x00\x28\x6b\xee", 16);
    gw_f32s(g, "f32s", (float[]){0.5f, -INFINITY}, 2);
    gw_f32s(g, "nans", (float[]){0.5f, NAN}, 2);
    gw_strs(g, "strs", (const char *[]){"a", "", "xyz"}, 3);
    gw_strs(g, "none", NULL, 0);
    return g;
}

static void integers_of_any_width(void **state)
{
    struct model_file *f = save_and_open(numbers());
    const struct {
        const char *key;
        uint64_t v;
    } rows[] = {{"u8", 200},          {"u16", 60000}, {"i16", 300},
                {"u32", 4000000000u}, {"i32", 70000}, {"u64", 1ull << 40}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t v = 7;
        uint32_t u = 7;
        bool has = false;
        assert_int_equal(mf_u64(f, rows[i].key, &v, &has, NULL), 0);
        assert_true(has && v == rows[i].v);
        int rc = mf_u32(f, rows[i].key, &u, NULL, NULL);
        assert_int_equal(rc, rows[i].v > UINT32_MAX ? LATHE_E_FILE : 0);
        assert_int_equal(u, rows[i].v > UINT32_MAX ? 7 : rows[i].v);
    }
    uint32_t absent = 42;
    bool has = true;
    assert_int_equal(mf_u32(f, "absent", &absent, &has, NULL), 0);
    assert_true(!has && absent == 42);
    model_file_free(f);
}

static void wrong_reads_name_key_and_value(void **state)
{
    struct model_file *f = save_and_open(numbers());
    struct lathe_err err;
    uint32_t u;
    uint64_t v;
    float x;
    bool b;
    struct str s;
    int32_t *is;
    float *fs;
    struct str *ss;
#define EXPECT(call, words)                            \
    do {                                               \
        assert_int_equal(call, LATHE_E_FILE);          \
        if (!strstr(err.text, words))                  \
            fail_msg("%s lacks: %s", err.text, words); \
    } while (0)
    EXPECT(mf_u32(f, "i8", &u, NULL, &err), "metadata i8 is -5; it must be an integer from 0");
    EXPECT(mf_u64(f, "i64", &v, NULL, &err), "metadata i64 is -1099511627776");
    EXPECT(mf_u32(f, "u64", &u, NULL, &err), "metadata u64 is 1099511627776");
    EXPECT(mf_u32(f, "str", &u, NULL, &err), "metadata str is of type string");
    EXPECT(mf_u32(f, "f32", &u, NULL, &err), "metadata f32 is of type f32");
    EXPECT(mf_u32(f, "bool", &u, NULL, &err), "metadata bool is of type bool");
    EXPECT(mf_f32(f, "u32", &x, NULL, &err), "metadata u32 is of type u32; it must be f32");
    EXPECT(mf_f32(f, "f64big", &x, NULL, &err), "metadata f64big is 1e+300; it must be finite");
    EXPECT(mf_f32(f, "nan", &x, NULL, &err), "must be finite");
    EXPECT(mf_bool(f, "u8", &b, NULL, &err), "must be a bool");
    EXPECT(mf_str(f, "strs", &s, NULL, &err), "an array of string; it must be a string");
    EXPECT(mf_i32s(f, "f32s", &is, &v, &err), "must be an array of integers");
    EXPECT(mf_i32s(f, "u32s", &is, &v, &err),
           "metadata u32s is 4000000000; it must be an array of integers of 32 bits");
    assert_true(!is && v == 0);
    EXPECT(mf_i32s(f, "u8", &is, &v, &err), "must be an array of integers");
    EXPECT(mf_f32s(f, "strs", &fs, &v, &err), "must be an array of numbers");
    EXPECT(mf_f32s(f, "nans", &fs, &v, &err), "must be an array without NaN");
    EXPECT(mf_strs(f, "i32s", &ss, &v, &err), "must be an array of strings");
#undef EXPECT
    model_file_free(f);
}

static void floats_bools_strings(void **state)
{
    struct model_file *f = save_and_open(numbers());
    float x = 0, y = 0;
    bool b = false, has = false;
    struct str s;
    assert_int_equal(mf_f32(f, "f32", &x, &has, NULL) | mf_f32(f, "f64", &y, NULL, NULL), 0);
    assert_true(has && x == 1.5f && y == 0.1f);
    assert_int_equal(mf_bool(f, "bool", &b, NULL, NULL), 0);
    assert_true(b);
    assert_int_equal(mf_str(f, "str", &s, NULL, NULL), 0);
    assert_true(str_is(s, "grüße"));
    assert_int_equal(mf_f32(f, "absent", &x, &has, NULL) | mf_bool(f, "absent", &b, NULL, NULL) |
                         mf_str(f, "absent", &s, NULL, NULL),
                     0);
    assert_true(!has && x == 1.5f && b && str_is(s, "grüße"));
    model_file_free(f);
}

static void arrays(void **state)
{
    struct model_file *f = save_and_open(numbers());
    int32_t *is;
    float *fs;
    struct str *ss;
    uint64_t n;
    assert_int_equal(mf_i32s(f, "i32s", &is, &n, NULL), 0);
    assert_true(n == 3 && is[0] == 1 && is[1] == -2 && is[2] == 3);
    free(is);
    assert_int_equal(mf_f32s(f, "f32s", &fs, &n, NULL), 0);
    assert_true(n == 2 && fs[0] == 0.5f && isinf(fs[1]));
    free(fs);
    assert_int_equal(mf_f32s(f, "i32s", &fs, &n, NULL), 0);
    assert_true(n == 3 && fs[1] == -2);
    free(fs);
    assert_int_equal(mf_strs(f, "strs", &ss, &n, NULL), 0);
    assert_true(n == 3 && str_is(ss[0], "a") && ss[1].n == 0 && str_is(ss[2], "xyz"));
    free(ss);
    assert_int_equal(mf_strs(f, "none", &ss, &n, NULL), 0);
    assert_int_equal(n, 0);
    free(ss);
    assert_int_equal(mf_strs(f, "absent", &ss, &n, NULL), 0);
    assert_true(n == 0 && !ss);
    model_file_free(f);
}

static void nested_arrays_are_stepped_over(void **state)
{
    /* [[1, 2], ["a"]]: kind, count, then per array kind, count, values */
    struct gw *g = gw_new();
    uint8_t v[200], *p = v;
#define PUT(type, x) memcpy(p, &(type){x}, sizeof(type)), p += sizeof(type)
    PUT(uint32_t, MF_ARRAY), PUT(uint64_t, 2);
    PUT(uint32_t, MF_U8), PUT(uint64_t, 2), PUT(uint8_t, 1), PUT(uint8_t, 2);
    PUT(uint32_t, MF_STR), PUT(uint64_t, 1), PUT(uint64_t, 1), PUT(uint8_t, 'a');
    raw(g, "nested", MF_ARRAY, v, (size_t)(p - v));
    gw_u32(g, "after", 5);
    struct model_file *f = save_and_open(g);
    const struct mf_meta *m = model_file_find(f, "nested");
    assert_true(m->kind == MF_ARRAY && m->elem == MF_ARRAY && m->n == 2 &&
                m->n_bytes == (uint64_t)(p - v) - 12);
    uint32_t after = 0;
    assert_int_equal(mf_u32(f, "after", &after, NULL, NULL), 0);
    assert_int_equal(after, 5);
    model_file_free(f);
}

static void tensors_of_every_type(void **state)
{
    static const uint32_t types[] = {FORMAT_F32,  FORMAT_F16,  FORMAT_BF16,
                                     FORMAT_Q4_0, FORMAT_Q4_1, FORMAT_Q8_0};
    struct gw *g = gw_new();
    float x[3 * 64], y[64];
    uint64_t seed = 1;
    char name[32];
    for (int i = 0; i < 3 * 64; i++)
        x[i] = gw_uniform(&seed);
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "t%d", i);
        gw_matrix(g, name, types[i], 64, 3, x);
    }
    struct model_file *f = save_and_open(g);
    assert_int_equal(model_file_n_tensor(f), 6);
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "t%d", i);
        const struct mf_tensor *t = model_file_tensor_find(f, name);
        const struct format *fmt = format_by_id(types[i]);
        assert_true(t == model_file_tensor(f, (uint64_t)i) && t->type == types[i] && t->n_dim == 2);
        assert_true(t->dim[0] == 64 && t->dim[1] == 3 && t->dim[2] == 1 && t->dim[3] == 1);
        assert_int_equal(t->n_bytes, 3 * 64 / fmt->block_n * fmt->block_bytes);
        assert_int_equal((uintptr_t)t->data % 32, 0);
        fmt->decode(t->data + t->n_bytes / 3, y, 64); /* the second row */
        double bound = types[i] == FORMAT_F32                                                         ? 0
                       : types[i] == FORMAT_Q8_0 || types[i] == FORMAT_F16 || types[i] == FORMAT_BF16 ? 0.005
                                                                                                      : 0.13;
        for (int k = 0; k < 64; k++)
            assert_true(fabs((double)(y[k] - x[64 + k])) <= bound);
    }
    assert_null(model_file_tensor_find(f, "t"));
    assert_null(model_file_tensor_find(f, ""));
    assert_null(model_file_tensor(f, 6));
    assert_null(model_file_meta(f, 0));
    model_file_free(f);
}

static void unknown_type_reaches_to_the_next_tensor(void **state)
{
    struct gw *g = gw_new();
    uint8_t data[100] = {0};
    gw_tensor(g, "a", 77, 2, (uint64_t[]){10, 3}, data, 70);
    gw_tensor(g, "b", 77, 1, (uint64_t[]){5}, data, 41);
    struct model_file *f = save_and_open(g);
    assert_int_equal(model_file_tensor_find(f, "a")->n_bytes, 96);
    assert_int_equal(model_file_tensor_find(f, "b")->n_bytes, 41);
    model_file_free(f);
}

static void tensors_may_lie_in_any_order(void **state)
{
    static const uint64_t offset[3] = {64, 0, 32};
    struct gw *g = gw_new();
    for (int i = 0; i < 3; i++)
        gw_tensor_raw(g, (const char *[]){"a", "b", "c"}[i], 1, 1, (uint64_t[]){8}, FORMAT_F32, offset[i]);
    size_t n;
    uint8_t *p = gw_bytes(g, &n);
    p = realloc(p, n + 96);
    for (size_t i = 0; i < 96; i++)
        p[n + i] = (uint8_t)(i / 32);
    gw_save_bytes(tmp_path("order.gguf"), p, n + 96);
    free(p);
    gw_free(g);
    struct model_file *f = open_ok(tmp_path("order.gguf"));
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(model_file_tensor(f, i)->data[31], offset[i] / 32);
    model_file_free(f);
}

static void version_2_and_other_alignment(void **state)
{
    struct gw *g = gw_new();
    gw_header(g, 2, 0, 0);
    gw_u32(g, "general.alignment", 8);
    gw_tensor(g, "a", FORMAT_F32, 1, (uint64_t[]){2}, (float[]){1, 2}, 8);
    gw_tensor_raw(g, "b", 1, 1, (uint64_t[]){1}, FORMAT_F32, 8);
    size_t n;
    uint8_t *p = gw_bytes(g, &n);
    p = realloc(p, n + 64);
    memset(p + n, 0, 64);
    gw_save_bytes(tmp_path("v2.gguf"), p, n + 64);
    free(p);
    gw_free(g);
    struct model_file *f = open_ok(tmp_path("v2.gguf"));
    const struct mf_tensor *a = model_file_tensor_find(f, "a"), *b = model_file_tensor_find(f, "b");
    assert_true(b->data - a->data == 8);
    model_file_free(f);
}

static void many_names_are_found(void **state)
{
    enum { N = 5000 };
    struct gw *g = gw_new();
    char name[32];
    for (uint32_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, "key.%u", i);
        gw_u32(g, name, i);
        snprintf(name, sizeof name, "tensor.%u", i);
        gw_tensor(g, name, FORMAT_F32, 1, (uint64_t[]){1}, &(float){(float)i}, 4);
    }
    struct model_file *f = save_and_open(g);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t v = N;
        float x;
        snprintf(name, sizeof name, "key.%u", i);
        assert_int_equal(mf_u32(f, name, &v, NULL, NULL), 0);
        assert_int_equal(v, i);
        snprintf(name, sizeof name, "tensor.%u", i);
        memcpy(&x, model_file_tensor_find(f, name)->data, 4);
        assert_true(x == (float)i);
    }
    model_file_free(f);
}

static void identity_and_paging(void **state)
{
    gw_random_llama(tmp_path("llama.gguf"), gw_small(), FORMAT_Q4_0, 7);
    struct model_file *f = open_ok(tmp_path("llama.gguf"));
    struct stat st;
    struct mf_identity id;
    assert_int_equal(stat(model_file_path(f), &st), 0);
    assert_true(model_file_identity(f, 0, &id) && !model_file_identity(f, 1, &id) &&
                !model_file_identity(f, -1, &id));
    assert_true(id.size == (uint64_t)st.st_size && id.inode == st.st_ino && id.device == st.st_dev &&
                id.mtime_ns == (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec);
    const struct mf_tensor *t = model_file_tensor_find(f, "token_embd.weight");
    uint8_t first = t->data[0], last = t->data[t->n_bytes - 1];
    model_file_populate(f);
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++)
        model_file_drop(f, model_file_tensor(f, i));
    assert_true(t->data[0] == first && t->data[t->n_bytes - 1] == last);
    assert_false(model_file_damaged(f));
    model_file_free(f);
    model_file_free(NULL);
}

static void equal_seeds_write_equal_files(void **state)
{
    gw_random_llama(tmp_path("a.gguf"), gw_small(), FORMAT_Q8_0, 7);
    gw_random_llama(tmp_path("b.gguf"), gw_small(), FORMAT_Q8_0, 8);
    struct model_file *a = open_ok(tmp_path("a.gguf")), *b = open_ok(tmp_path("b.gguf"));
    const struct mf_tensor *x = model_file_tensor_find(a, "blk.1.ffn_down.weight"),
                           *y = model_file_tensor_find(b, x->name);
    assert_memory_not_equal(x->data, y->data, x->n_bytes);
    gw_random_llama(tmp_path("c.gguf"), gw_small(), FORMAT_Q8_0, 7);
    struct model_file *c = open_ok(tmp_path("c.gguf"));
    y = model_file_tensor_find(c, x->name);
    assert_memory_equal(x->data, y->data, x->n_bytes);
    model_file_free(a);
    model_file_free(b);
    model_file_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_any_width),
        cmocka_unit_test(wrong_reads_name_key_and_value),
        cmocka_unit_test(floats_bools_strings),
        cmocka_unit_test(arrays),
        cmocka_unit_test(nested_arrays_are_stepped_over),
        cmocka_unit_test(tensors_of_every_type),
        cmocka_unit_test(unknown_type_reaches_to_the_next_tensor),
        cmocka_unit_test(tensors_may_lie_in_any_order),
        cmocka_unit_test(version_2_and_other_alignment),
        cmocka_unit_test(many_names_are_found),
        cmocka_unit_test(identity_and_paging),
        cmocka_unit_test(equal_seeds_write_equal_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
