/* Tests of a whole small model with one thing wrong: cut at every byte, each bit of its header flipped.
 * Nothing crashes. */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "format/model_file.h"
#include "gguf_write.h"
#include "quant/format.h"
#include "tmp_dir.h"

static uint8_t *small_model(size_t *n, size_t *n_head)
{
    struct gw_shape s = {.n_embd = 32, .n_ff = 32, .n_head = 2, .n_head_kv = 1, .n_layer = 1};
    const char *path = tmp_path("small.gguf");
    gw_random_llama(path, s, FORMAT_Q4_0, 3);
    FILE *in = fopen(path, "rb");
    uint8_t *p = malloc(1 << 20);
    *n = fread(p, 1, 1 << 20, in);
    fclose(in);
    struct model_file *f;
    assert_int_equal(model_file_open(path, &f, NULL), 0);
    *n_head = *n;
    uint64_t n_data = 0;
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++)
        n_data += (model_file_tensor(f, i)->n_bytes + 31) & ~31ull;
    *n_head = *n > n_data ? *n - n_data : 0;
    model_file_free(f);
    return p;
}

/* Reads everything that a user of the view reads. */
static uint64_t touch(const struct model_file *f)
{
    uint64_t sum = 0, n;
    struct str *ss;
    for (uint64_t i = 0; i < model_file_n_meta(f); i++) {
        const struct mf_meta *m = model_file_meta(f, i);
        const uint8_t *p = m->data;
        for (uint64_t k = 0; k < m->n_bytes; k++)
            sum += p[k];
        if (!mf_strs(f, m->key.p, &ss, &n, NULL)) {
            for (uint64_t k = 0; k < n; k++)
                for (size_t j = 0; j < ss[k].n; j++)
                    sum += (uint8_t)ss[k].p[j];
            free(ss);
        }
        assert_ptr_equal(model_file_find(f, m->key.p), m);
    }
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++) {
        const struct mf_tensor *t = model_file_tensor(f, i);
        sum += t->data[0] + t->data[t->n_bytes - 1];
        assert_ptr_equal(model_file_tensor_find(f, t->name), t);
    }
    return sum;
}

/* The last tensor's padding is not in the file, so that every cut takes something away. */
static void every_cut_is_an_error(void **state)
{
    size_t n, n_head;
    uint8_t *p = small_model(&n, &n_head);
    const char *path = tmp_path("cut.gguf");
    gw_save_bytes(path, p, n);
    assert_true(n > 5000 && n_head > 1000);
    for (size_t cut = n; cut-- > 0;) {
        struct model_file *f;
        struct lathe_err err = {0};
        assert_int_equal(truncate(path, (off_t)cut), 0);
        int rc = model_file_open(path, &f, &err);
        if (rc != LATHE_E_FILE || !err.text[0])
            fail_msg("cut at %zu of %zu: %d %s", cut, n, rc, err.text);
        assert_null(f);
    }
    free(p);
}

static void no_flipped_bit_of_the_header_crashes(void **state)
{
    size_t n, n_head, n_ok = 0, n_bad = 0;
    uint8_t *p = small_model(&n, &n_head);
    const char *path = tmp_path("flip.gguf");
    gw_save_bytes(path, p, n);
    FILE *out = fopen(path, "r+b");
    setbuf(out, NULL);
    uint64_t sum = 0;
    for (size_t bit = 0; bit < 8 * n_head; bit++) {
        struct model_file *f;
        struct lathe_err err = {0};
        uint8_t b = p[bit / 8] ^ (uint8_t)(1 << bit % 8);
        fseek(out, (long)(bit / 8), SEEK_SET);
        fputc(b, out);
        int rc = model_file_open(path, &f, &err);
        if (rc) {
            n_bad++;
            assert_true(err.text[0] && err.code == rc);
        } else {
            n_ok++;
            sum += touch(f);
            model_file_free(f);
        }
        fseek(out, (long)(bit / 8), SEEK_SET);
        fputc(p[bit / 8], out);
    }
    fclose(out);
    free(p);
    print_message("%zu flips: %zu refused, %zu legal (sum %llu)\n", 8 * n_head, n_bad, n_ok,
                  (unsigned long long)sum);
    assert_true(n_bad > 1000 && n_ok > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_is_an_error),
        cmocka_unit_test(no_flipped_bit_of_the_header_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
