/* Tests of split GGUF files: joined from any part, refused when a part is missing, foreign or out of place.
 */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "format/model_file.h"
#include "gguf_write.h"
#include "quant/format.h"
#include "tmp_dir.h"

static const char *part_path(const char *stem, int i, int n)
{
    char name[100];
    snprintf(name, sizeof name, "%s-%05d-of-%05d.gguf", stem, i + 1, n);
    return tmp_path(name);
}

/* Part i of n: tensors "i.0" and "i.1" with the values 10 i and 10 i + 1. The keys can lie. */
static void write_part(const char *path, int i, uint32_t no, uint32_t count, uint32_t n_tensor)
{
    struct gw *g = gw_new();
    if (i == 0)
        gw_str(g, "general.architecture", "llama");
    uint16_t no16 = (uint16_t)no, count16 = (uint16_t)count;
    gw_raw(g, "split.no", 8, MF_U16, &no16, 2);
    gw_raw(g, "split.count", 11, MF_U16, &count16, 2);
    gw_raw(g, "split.tensors.count", 19, MF_I32, &n_tensor, 4);
    for (int k = 0; k < 2; k++) {
        char name[16];
        snprintf(name, sizeof name, "%d.%d", i, k);
        gw_tensor(g, name, FORMAT_F32, 1, (uint64_t[]){1}, &(float){(float)(10 * i + k)}, 4);
    }
    gw_save(g, path);
    gw_free(g);
}

static void write_three(const char *stem)
{
    for (int i = 0; i < 3; i++)
        write_part(part_path(stem, i, 3), i, (uint32_t)i, 3, 6);
}

static void any_part_opens_the_whole(void **state)
{
    write_three("good");
    for (int named = 0; named < 3; named++) {
        struct model_file *f;
        struct lathe_err err = {0};
        if (model_file_open(part_path("good", named, 3), &f, &err))
            fail_msg("%s", err.text);
        assert_int_equal(model_file_n_tensor(f), 6);
        for (int i = 0; i < 6; i++) {
            char name[16];
            float x;
            snprintf(name, sizeof name, "%d.%d", i / 2, i % 2);
            const struct mf_tensor *t = model_file_tensor_find(f, name);
            assert_ptr_equal(t, model_file_tensor(f, (uint64_t)i));
            memcpy(&x, t->data, 4);
            assert_true(x == (float)(10 * (i / 2) + i % 2));
        }
        struct mf_identity id;
        assert_true(model_file_identity(f, 2, &id) && !model_file_identity(f, 3, &id));
        assert_non_null(
            model_file_find(f, "general.architecture")); /* the first part's, whichever was named */
        assert_string_equal(model_file_path(f), part_path("good", 0, 3));
        model_file_populate(f);
        model_file_free(f);
    }
}

static void refused(const char *path, const char *words)
{
    struct model_file *f;
    struct lathe_err err = {0};
    int rc = model_file_open(path, &f, &err);
    if (rc != LATHE_E_FILE || !strstr(err.text, words))
        fail_msg("%s: %d %s", path, rc, err.text);
    assert_null(f);
}

static void missing_part_is_named(void **state)
{
    write_three("gap");
    unlink(part_path("gap", 1, 3));
    refused(part_path("gap", 0, 3), "part 2 of 3 is missing");
    refused(part_path("gap", 2, 3), "gap-00002-of-00003.gguf; put it beside the others");
    unlink(part_path("gap", 0, 3));
    refused(part_path("gap", 2, 3), "part 1 of 3 is missing");
}

static void foreign_and_misplaced_parts(void **state)
{
    write_three("swap");
    write_part(part_path("swap", 1, 3), 1, 2, 3, 6);
    refused(part_path("swap", 0, 3), "says that it is part 3 of 3");
    refused(part_path("swap", 1, 3), "so its name must end in -00003-of-00003.gguf");
    write_part(part_path("swap", 1, 3), 1, 1, 4, 6);
    refused(part_path("swap", 0, 3), "says that it is part 2 of 4");
    write_part(part_path("swap", 1, 3), 0, 1, 3, 6);
    refused(part_path("swap", 0, 3), "tensor 0.0 appears twice");
    write_three("count");
    write_part(part_path("count", 0, 3), 0, 0, 3, 7);
    refused(part_path("count", 0, 3), "split.tensors.count is 7, but the 3 parts have 6 tensors");
    write_three("cut");
    assert_int_equal(truncate(part_path("cut", 2, 3), 100), 0);
    refused(part_path("cut", 0, 3), "cut-00003-of-00003.gguf: ends at byte 100");
}

static void wrong_keys_and_names(void **state)
{
    write_part(tmp_path("plain.gguf"), 0, 0, 3, 6);
    refused(tmp_path("plain.gguf"), "so its name must end in -00001-of-00003.gguf; rename it");
    write_part(tmp_path("x.gguf"), 0, 5, 3, 6);
    refused(tmp_path("x.gguf"), "split.no is 5 of split.count 3");
    write_part(tmp_path("x.gguf"), 0, 0, 60000, 6);
    refused(tmp_path("x.gguf"), "split.count is 60000; at most 512");
    struct model_file *f;
    write_part(tmp_path("one.gguf"), 0, 0, 1, 2);
    assert_int_equal(model_file_open(tmp_path("one.gguf"), &f, NULL), 0);
    assert_int_equal(model_file_n_tensor(f), 2);
    model_file_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_part_opens_the_whole),
        cmocka_unit_test(missing_part_is_named),
        cmocka_unit_test(foreign_and_misplaced_parts),
        cmocka_unit_test(wrong_keys_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
