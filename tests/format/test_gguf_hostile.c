/* Tests of malformed GGUF files: each is refused with words that name what is wrong. */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "format/model_file.h"
#include "gguf_write.h"
#include "quant/format.h"
#include "tmp_dir.h"

enum { F32 = FORMAT_F32, Q4_0 = FORMAT_Q4_0 };

static const float zeros[256];
static uint8_t much[10000000];

/* A file with one thing wrong. */
static void tensor(struct gw *g, const char *name, uint32_t n_dim, const uint64_t *dim, uint32_t type,
                   uint64_t offset)
{
    gw_tensor_raw(g, name, strlen(name), n_dim, dim, type, offset);
}

static void raw(struct gw *g, const char *key, uint32_t kind, const void *p, size_t n)
{
    gw_raw(g, key, strlen(key), kind, p, n);
}

/* Value of an array: element kind, count, bytes. */
static void array(struct gw *g, uint32_t elem, uint64_t count, const void *p, size_t n)
{
    uint8_t v[300];
    memcpy(v, &elem, 4);
    memcpy(v + 4, &count, 8);
    if (n)
        memcpy(v + 12, p, n);
    raw(g, "a", MF_ARRAY, v, 12 + n);
}

static void version_99(struct gw *g)
{
    gw_header(g, 99, 0, 0);
}
static void version_1(struct gw *g)
{
    gw_header(g, 1, 0, 0);
}
static void big_endian(struct gw *g)
{
    gw_header(g, 3u << 24, 0, 0);
}
static void many_meta(struct gw *g)
{
    gw_header(g, 0, 0, 1000);
}
static void all_meta(struct gw *g)
{
    gw_header(g, 0, 0, UINT64_MAX);
}
static void many_tensors(struct gw *g)
{
    gw_header(g, 0, 1ull << 60, 0);
}
static void some_tensors(struct gw *g)
{
    gw_header(g, 0, 100, 0);
}
static void meta_past_the_limit(struct gw *g) /* in a file that could hold as many */
{
    gw_raw(g, "big", 3, MF_U8, much, 3000000);
    gw_header(g, 0, 0, 65537);
}
static void tensors_past_the_limit(struct gw *g)
{
    gw_raw(g, "big", 3, MF_U8, much, 10000000);
    gw_header(g, 0, 262145, 0);
}
static void one_tensor_too_many(struct gw *g)
{
    gw_tensor(g, "t", F32, 1, (uint64_t[]){64}, zeros, 256);
    gw_header(g, 0, 2, 0);
}
static void key_empty(struct gw *g)
{
    raw(g, "", MF_U8, "x", 1);
}
static void key_nul(struct gw *g)
{
    gw_raw(g, "a\0b", 3, MF_U8, "x", 1);
}
static void key_utf8(struct gw *g)
{
    raw(g, "k\xc3(", MF_U8, "x", 1);
}
static void key_overlong(struct gw *g)
{
    raw(g, "k\xc0\xaf", MF_U8, "x", 1);
}
static void key_overlong_3(struct gw *g)
{
    raw(g, "k\xe0\x80\xaf", MF_U8, "x", 1);
}
static void key_beyond(struct gw *g)
{
    raw(g, "k\xf4\x90\x80\x80", MF_U8, "x", 1);
}
static void key_surrogate(struct gw *g)
{
    raw(g, "k\xed\xa0\x80", MF_U8, "x", 1);
}
static void key_half(struct gw *g)
{
    raw(g, "k\xe2\x96", MF_U8, "x", 1);
}
static void key_long(struct gw *g)
{
    char key[2000];
    memset(key, 'k', sizeof key);
    gw_raw(g, key, sizeof key, MF_U8, "x", 1);
}
static void key_twice(struct gw *g)
{
    gw_u32(g, "general.file_type", 1);
    gw_u32(g, "other", 1);
    gw_u32(g, "general.file_type", 1);
}
static void kind_unknown(struct gw *g)
{
    raw(g, "k", 13, "x", 1);
}
static void bool_two(struct gw *g)
{
    raw(g, "k", MF_BOOL, "\2", 1);
}
static void bools_two(struct gw *g)
{
    array(g, MF_BOOL, 3, "\0\1\7", 3);
}
static void string_beyond(struct gw *g)
{
    raw(g, "k", MF_STR, &(uint64_t){100000}, 8);
}
static void string_wraps(struct gw *g)
{
    raw(g, "k", MF_STR, &(uint64_t){UINT64_MAX}, 8);
}
static void array_beyond(struct gw *g)
{
    array(g, MF_U32, 1000000, NULL, 0);
}
static void array_wraps(struct gw *g)
{
    array(g, MF_U64, (1ull << 61) + 1, zeros, 8);
}
static void array_of_strings_beyond(struct gw *g)
{
    array(g, MF_STR, 3, zeros, 8);
}
static void array_kind(struct gw *g)
{
    array(g, 99, 1, zeros, 8);
}
static void array_deep(struct gw *g)
{
    uint8_t v[20 * 12];
    for (int i = 0; i < 20; i++) {
        memcpy(v + 12 * i, &(uint32_t){MF_ARRAY}, 4);
        memcpy(v + 12 * i + 4, &(uint64_t){1}, 8);
    }
    raw(g, "deep", MF_ARRAY, v, sizeof v);
}
static void array_of_arrays_beyond(struct gw *g)
{
    array(g, MF_ARRAY, 1ull << 40, zeros, 100);
}
static void align_kind(struct gw *g)
{
    gw_str(g, "general.alignment", "32");
}
static void align_0(struct gw *g)
{
    gw_u32(g, "general.alignment", 0);
}
static void align_24(struct gw *g)
{
    gw_u32(g, "general.alignment", 24);
}
static void align_huge(struct gw *g)
{
    gw_u32(g, "general.alignment", 1u << 31);
}
static void name_empty(struct gw *g)
{
    gw_tensor(g, "", F32, 1, (uint64_t[]){4}, zeros, 64);
}
static void name_long(struct gw *g)
{
    char name[300];
    memset(name, 'n', sizeof name);
    gw_tensor_raw(g, name, sizeof name, 1, (uint64_t[]){4}, F32, 0);
}
static void name_nul(struct gw *g)
{
    gw_tensor_raw(g, "a\0b", 3, 1, (uint64_t[]){4}, F32, 0);
}
static void name_utf8(struct gw *g)
{
    tensor(g, "\xff", 1, (uint64_t[]){4}, F32, 0);
}
static void name_twice(struct gw *g)
{
    for (int i = 0; i < 2; i++)
        gw_tensor(g, "blk.0.attn_q.weight", F32, 1, (uint64_t[]){4}, zeros, 64);
}
static void dims_0(struct gw *g)
{
    gw_tensor(g, "t", F32, 0, NULL, zeros, 64);
}
static void dims_5(struct gw *g)
{
    gw_tensor(g, "t", F32, 5, (uint64_t[]){1, 1, 1, 1, 1}, zeros, 64);
}
static void dim_zero(struct gw *g)
{
    gw_tensor(g, "t", F32, 2, (uint64_t[]){4, 0}, zeros, 64);
}
static void dims_wrap(struct gw *g)
{
    gw_tensor(g, "t", F32, 4, (uint64_t[]){1ull << 32, 1ull << 32, 1, 1}, zeros, 64);
}
static void dims_wrap_to_small(struct gw *g)
{
    gw_tensor(g, "t", F32, 2, (uint64_t[]){(1ull << 63) + 2, 2}, zeros, 64);
}
static void dims_past_signed(struct gw *g)
{
    gw_tensor(g, "t", F32, 2, (uint64_t[]){1ull << 62, 2}, zeros, 64);
}
static void bytes_wrap(struct gw *g)
{
    gw_tensor(g, "t", F32, 2, (uint64_t[]){1ull << 31, 1ull << 31}, zeros, 64);
}
static void bytes_wrap_u64(struct gw *g)
{
    gw_tensor(g, "t", FORMAT_F64, 2, (uint64_t[]){1ull << 31, 1ull << 31}, zeros, 64);
}
static void row_not_whole(struct gw *g)
{
    gw_tensor(g, "t", Q4_0, 2, (uint64_t[]){40, 4}, zeros, 90);
}
static void data_beyond(struct gw *g)
{
    gw_tensor(g, "t", F32, 1, (uint64_t[]){65}, zeros, 256);
}
static void data_far_beyond(struct gw *g)
{
    tensor(g, "t", 1, (uint64_t[]){4}, F32, 1ull << 40);
}
static void offset_wraps(struct gw *g)
{
    tensor(g, "t", 1, (uint64_t[]){64}, F32, UINT64_MAX - 31);
}
static void no_data(struct gw *g)
{
    tensor(g, "t", 1, (uint64_t[]){4}, F32, 0);
}
static void unknown_no_data(struct gw *g)
{
    tensor(g, "t", 1, (uint64_t[]){4}, 200, 0);
}
static void offset_odd(struct gw *g)
{
    gw_tensor(g, "u", F32, 1, (uint64_t[]){8}, zeros, 256);
    tensor(g, "t", 1, (uint64_t[]){4}, F32, 36);
}
static void overlap(struct gw *g)
{
    gw_tensor(g, "t", F32, 1, (uint64_t[]){64}, zeros, 256);
    tensor(g, "u", 1, (uint64_t[]){4}, F32, 32);
}
static void overlap_same(struct gw *g)
{
    gw_tensor(g, "t", F32, 1, (uint64_t[]){8}, zeros, 256);
    tensor(g, "u", 1, (uint64_t[]){8}, F32, 0);
}
static void overlap_unknown(struct gw *g)
{
    gw_tensor(g, "t", 200, 1, (uint64_t[]){8}, zeros, 256);
    tensor(g, "u", 1, (uint64_t[]){8}, 201, 0);
}

static const struct row {
    const char *name;
    void (*make)(struct gw *g);
    int code;
    const char *words;
} rows[] = {
#define ROW(fn, words)               \
    {                                \
#fn, fn, LATHE_E_FILE, words \
    }
    ROW(version_99, "has GGUF version 99; versions 2 and 3 are read"),
    {"version_1", version_1, LATHE_E_UNSUPPORTED, "has GGUF version 1; versions 2 and 3 are read"},
    {"big_endian", big_endian, LATHE_E_UNSUPPORTED, "is a big-endian GGUF file (version 3)"},
    ROW(many_meta, "claims 1000 metadata entries"),
    ROW(all_meta, "claims 18446744073709551615 metadata entries"),
    ROW(many_tensors, "claims 1152921504606846976 tensors"),
    ROW(some_tensors, "claims 100 tensors; its 32 bytes can hold 0 and 262144 are allowed"),
    ROW(meta_past_the_limit, "claims 65537 metadata entries"),
    ROW(tensors_past_the_limit, "claims 262145 tensors"),
    ROW(one_tensor_too_many, "a tensor name at byte"),
    ROW(key_empty, "a metadata key at byte 24 has 0 bytes; 1 to 1024 are allowed"),
    ROW(key_nul, "a metadata key at byte 24 has a NUL at its byte 1"),
    ROW(key_utf8, "has invalid UTF-8 at its byte 1"),
    ROW(key_overlong, "has invalid UTF-8 at its byte 1"),
    ROW(key_overlong_3, "has invalid UTF-8 at its byte 1"),
    ROW(key_beyond, "has invalid UTF-8 at its byte 1"),
    ROW(key_surrogate, "has invalid UTF-8 at its byte 1"),
    ROW(key_half, "has invalid UTF-8 at its byte 1"),
    ROW(key_long, "has 2000 bytes; 1 to 1024 are allowed"),
    ROW(key_twice, "metadata key general.file_type appears twice"),
    ROW(kind_unknown, "metadata k has type 13; types are 0 to 12"),
    ROW(bool_two, "metadata k: a bool is 2; only 0 and 1"),
    ROW(bools_two, "metadata a: a bool is 7; only 0 and 1"),
    ROW(string_beyond, "inside a metadata string, which needs 100000 bytes"),
    ROW(string_wraps, "inside a metadata string, which needs 18446744073709551615 bytes"),
    ROW(array_beyond, "metadata a has 1000000 values of type u32, more than the rest of the file"),
    ROW(array_wraps, "metadata a has 2305843009213693953 values of type u64, more than the rest"),
    ROW(array_of_strings_beyond, "metadata a has 3 values of type string, more than the rest"),
    ROW(array_kind, "metadata a has type 99"),
    ROW(array_deep, "metadata deep nests arrays deeper than 4"),
    ROW(array_of_arrays_beyond, "metadata a has 1099511627776 values of type array, more than the rest"),
    ROW(align_kind, "metadata general.alignment is of type string"),
    ROW(align_0, "general.alignment is 0; it must be a power of two from 8"),
    ROW(align_24, "general.alignment is 24; it must be a power of two"),
    ROW(align_huge, "general.alignment is 2147483648; it must be a power of two from 8 to 1048576"),
    ROW(name_empty, "a tensor name at byte 24 has 0 bytes"),
    ROW(name_long, "a tensor name at byte 24 has 300 bytes; 1 to 256"),
    ROW(name_nul, "a tensor name at byte 24 has a NUL at its byte 1"),
    ROW(name_utf8, "a tensor name at byte 24 has invalid UTF-8"),
    ROW(name_twice, "tensor blk.0.attn_q.weight appears twice"),
    ROW(dims_0, "tensor t has 0 dimensions; 1 to 4 are allowed"),
    ROW(dims_5, "tensor t has 5 dimensions; 1 to 4 are allowed"),
    ROW(dim_zero, "tensor t has dimension 1 of size 0"),
    ROW(dims_wrap, "tensor t has more elements than 2^63"),
    ROW(dims_wrap_to_small, "tensor t has more elements than 2^63"),
    ROW(dims_past_signed, "tensor t has more elements than 2^63"),
    ROW(bytes_wrap, "tensor t has 4611686018427387904 elements of F32, more than 2^64 bytes"),
    ROW(bytes_wrap_u64, "tensor t has 4611686018427387904 elements of F64, more than 2^64 bytes"),
    ROW(row_not_whole, "tensor t has rows of 40 elements, which are not whole blocks of 32"),
    ROW(data_beyond, "tensor t lies at bytes 0 + 260 of the data, which ends at 256"),
    ROW(data_far_beyond, "tensor t lies at bytes 1099511627776 + 16"),
    ROW(offset_wraps, "tensor t lies at bytes 18446744073709551584 + 256"),
    ROW(no_data, "tensor t lies at bytes 0 + 16 of the data, which ends at 0"),
    ROW(unknown_no_data, "tensor t lies at bytes 0 + 0 of the data, which ends at 0"),
    ROW(offset_odd, "tensor t starts at offset 36, which is not a multiple of the alignment 32"),
    ROW(overlap, "tensor t has its data at offset 0, and the next tensor starts inside it at 32"),
    ROW(overlap_same, "the next tensor starts inside it at 0"),
    ROW(overlap_unknown, "the next tensor starts inside it at 0"),
#undef ROW
};

static void each_fault_has_its_words(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct gw *g = gw_new();
        struct model_file *f = (void *)&rows;
        struct lathe_err err = {0};
        rows[i].make(g);
        gw_save(g, tmp_path("bad.gguf"));
        gw_free(g);
        int rc = model_file_open(tmp_path("bad.gguf"), &f, &err);
        if (rc != rows[i].code || err.code != rc || !strstr(err.text, rows[i].words) ||
            !strstr(err.text, "bad.gguf"))
            fail_msg("%s: got %d, %s", rows[i].name, rc, err.text);
        assert_null(f);
    }
}

static void things_that_are_not_models(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        int code;
        const char *words;
    } files[] = {
        {"", 0, LATHE_E_FILE, "is empty"},
        {"G", 1, LATHE_E_FILE, "it does not start with GGUF"},
        {"GGUF", 4, LATHE_E_FILE, "ends at byte 4 inside the header"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, LATHE_E_FILE, "it is a Git LFS pointer"},
        {"<!DOCTYPE html><html>", 21, LATHE_E_FILE, "it is a web page"},
        {"\x40\0\0\0\0\0\0\0{\"__metadata__\":", 24, LATHE_E_FILE, "has no config.json"},
        {"FUGG\0\0\0\3", 8, LATHE_E_UNSUPPORTED, "it is a big-endian GGUF file"},
        {"tjgg\3\0\0\0", 8, LATHE_E_FILE, "before GGUF"},
        {"PK\3\4xxxx", 8, LATHE_E_FILE, "ZIP or PyTorch"},
        {"{\"a\": 1}", 8, LATHE_E_FILE, "it is a JSON file"},
        {"\x28\xb5\x2f\xfd....", 8, LATHE_E_FILE, "compressed by zstd"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct model_file *f;
        struct lathe_err err = {0};
        gw_save_bytes(tmp_path("x.bin"), files[i].bytes, files[i].n);
        int rc = model_file_open(tmp_path("x.bin"), &f, &err);
        if (rc != files[i].code || !strstr(err.text, files[i].words))
            fail_msg("file %zu: %d %s", i, rc, err.text);
    }
}

static void expect_refused(const char *path, const char *words)
{
    struct model_file *f;
    struct lathe_err err = {0};
    int rc = model_file_open(path, &f, &err);
    if (rc != LATHE_E_FILE || !strstr(err.text, words))
        fail_msg("%s: %d %s", path, rc, err.text);
}

static void paths_that_are_not_files(void **state)
{
    expect_refused("/tmp", "has no config.json");
    expect_refused("/dev/zero", "is not a regular file (a device)");
    expect_refused("", "cannot open");
    expect_refused(tmp_path("absent.gguf"), "No such file");
    assert_int_equal(mkfifo(tmp_path("fifo"), 0600), 0);
    expect_refused(tmp_path("fifo"), "is not a regular file (a pipe)");
    gw_save_bytes(tmp_path("secret.gguf"), "GGUF", 4);
    chmod(tmp_path("secret.gguf"), 0);
    if (geteuid() != 0)
        expect_refused(tmp_path("secret.gguf"), "Permission denied");
    char deep[3000];
    memset(deep, 'd', sizeof deep);
    deep[0] = '/';
    deep[sizeof deep - 1] = 0;
    expect_refused(deep,
                   "File name too long"); /* the words are there although the path is longer than the line */
    expect_refused(tmp_path("new\nline"), "new?line");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_has_its_words),
        cmocka_unit_test(things_that_are_not_models),
        cmocka_unit_test(paths_that_are_not_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
