/* Tests of the fixtures themselves: each opens, has its logits, and every switch of the index applies. */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fixture_patch.h"
#include "format/model_file.h"
#include "gguf_write.h"
#include "quant/format.h"
#include "tmp_dir.h"

static void check_logits(const char *name, const struct model_file *f)
{
    char path[200];
    size_t n;
    snprintf(path, sizeof path, "tests/fixtures/%s.logits", name);
    uint8_t *p = fixture_read(path, &n);
    uint32_t head[4];
    memcpy(head, p, sizeof head);
    assert_memory_equal(p, "LGT1", 4);
    assert_int_equal(n, 16 + 4 * (size_t)head[1] + 4 * (size_t)head[2] + 4 * (size_t)head[2] * head[3]);
    assert_int_equal(head[3], model_file_tensor_find(f, "token_embd.weight")->dim[1]);
    int32_t at[2000];
    memcpy(at, p + 16, 4 * (size_t)(head[1] + head[2]));
    for (uint32_t i = 0; i < head[1]; i++)
        assert_true(at[i] >= 0 && at[i] < (int32_t)head[3]);
    for (uint32_t i = 0; i < head[2]; i++)
        assert_true(at[head[1] + i] < (int32_t)head[1] && (i == 0 || at[head[1] + i] > at[head[1] + i - 1]));
    free(p);
}

static void check_switch(const char *name, const char *switches)
{
    char path[200];
    size_t n;
    struct model_file *f;
    struct lathe_err err = {0};
    snprintf(path, sizeof path, "tests/fixtures/%s.gguf", name);
    if (model_file_open(path, &f, &err))
        fail_msg("%s", err.text);
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++)
        assert_true(format_by_id(model_file_tensor(f, i)->type)->runs);
    check_logits(name, f);
    model_file_free(f);
    if (!strcmp(switches, "-"))
        return;
    uint8_t *p = fixture_read(path, &n), *q = fixture_read(path, &n);
    if (fixture_patch(p, n, switches) < 1)
        fail_msg("%s: the switch does not apply: %s", name, switches);
    assert_memory_not_equal(p, q, n);
    gw_save_bytes(tmp_path("off.gguf"), p, n);
    if (model_file_open(tmp_path("off.gguf"), &f, &err))
        fail_msg("%s", err.text);
    model_file_free(f);
    free(p);
    free(q);
}

static void the_index_is_true(void **state)
{
    FILE *in = fopen("tests/fixtures/index.txt", "r");
    assert_non_null(in);
    char line[1000], name[100], feature[200], switches[500];
    int n = 0;
    while (fgets(line, sizeof line, in)) {
        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%99[^ ] | %199[^|] | %499[^|] |", name, feature, switches), 3);
        switches[strlen(switches) - 1] = 0; /* the blank before the bar */
        check_switch(name, switches);
        n++;
    }
    fclose(in);
    assert_true(n > 30);
}

static void patches_that_do_not_apply(void **state)
{
    struct gw *g = gw_new();
    gw_u32(g, "key", 7);
    gw_f32(g, "blk.10.f", 7);
    gw_f32(g, "blk.2.f", 7);
    size_t n;
    uint8_t *p = gw_bytes(g, &n);
    assert_int_equal(fixture_patch(p, n, "u32 absent 1"), -1);
    assert_int_equal(fixture_patch(p, n, "f32 key 1"), -1);
    assert_int_equal(fixture_patch(p, n, "key"), -1);
    assert_int_equal(fixture_patch(p, n, "u32 ke 1"), -1);
    assert_int_equal(fixture_patch(p, n, "u32 key 300; f32 blk.*.f 0.5"), 3);
    gw_save_bytes(tmp_path("p.gguf"), p, n);
    free(p);
    gw_free(g);
    struct model_file *f;
    uint32_t u = 0;
    float x = 0;
    assert_int_equal(model_file_open(tmp_path("p.gguf"), &f, NULL), 0);
    assert_int_equal(mf_u32(f, "key", &u, NULL, NULL) | mf_f32(f, "blk.10.f", &x, NULL, NULL), 0);
    assert_true(u == 300 && x == 0.5f);
    model_file_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_is_true),
        cmocka_unit_test(patches_that_do_not_apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
