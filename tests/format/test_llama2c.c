/* Tests of the llama2.c importer: a made checkpoint, every way to damage it, and stories260K where it is at
 * hand. */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "format/model_file.h"
#include "quant/format.h"
#include "tmp_dir.h"

enum {
    DIM = 8,
    HIDDEN = 12,
    N_LAYER = 2,
    N_HEAD = 4,
    N_KV = 2,
    N_VOCAB = 7,
    N_CTX = 10,
    KV = DIM / N_HEAD * N_KV
};

/* Writes a checkpoint whose weights count up from 0 over the whole file, so that each place is known by its
 * value. */
static void write_checkpoint(const char *path, bool untied, int extra_floats)
{
    int32_t h[7] = {DIM, HIDDEN, N_LAYER, N_HEAD, N_KV, untied ? -N_VOCAB : N_VOCAB, N_CTX};
    int layer = 2 * DIM + 2 * DIM * DIM + 2 * KV * DIM + 3 * HIDDEN * DIM;
    int n = N_VOCAB * DIM + N_LAYER * layer + DIM + N_CTX * DIM / N_HEAD + (untied ? N_VOCAB * DIM : 0) +
            extra_floats;
    FILE *out = fopen(path, "wb");
    fwrite(h, sizeof h, 1, out);
    for (int i = 0; i < n; i++)
        fwrite(&(float){(float)i}, 4, 1, out);
    fclose(out);
}

static const char *const pieces[N_VOCAB] = {"<unk>", "\n<s>\n", "\n</s>\n", "<0x41>",
                                            " a b",  "b",       "\xc3\xa4"};

static void write_tokenizer(const char *path, int n, int n_extra)
{
    FILE *out = fopen(path, "wb");
    fwrite(&(int32_t){7}, 4, 1, out);
    for (int i = 0; i < n; i++) {
        fwrite(&(float){(float)-i}, 4, 1, out);
        fwrite(&(int32_t){(int32_t)strlen(pieces[i])}, 4, 1, out);
        fwrite(pieces[i], strlen(pieces[i]), 1, out);
    }
    for (int i = 0; i < n_extra; i++)
        fputc(0, out);
    fclose(out);
}

static void expect_tensor(const struct model_file *f, const char *name, uint64_t cols, uint64_t rows,
                          int first)
{
    const struct mf_tensor *t = model_file_tensor_find(f, name);
    float x;
    if (!t)
        fail_msg("%s is missing", name);
    memcpy(&x, t->data, 4);
    if (t->dim[0] != cols || t->dim[1] != rows || x != (float)first || t->type != FORMAT_F32 ||
        t->n_bytes != 4 * cols * rows)
        fail_msg("%s: %d x %d, first %g", name, (int)t->dim[0], (int)t->dim[1], (double)x);
}

static void tensors_and_keys(void **state)
{
    struct model_file *f;
    struct lathe_err err = {0};
    write_tokenizer(tmp_path("tok7.bin"), N_VOCAB, 0);
    for (int untied = 0; untied < 2; untied++) {
        write_checkpoint(tmp_path("m.bin"), untied, 0);
        if (model_file_open(tmp_path("m.bin"), &f, &err))
            fail_msg("%s", err.text);
        int at = 0;
        const struct {
            const char *name;
            int cols, rows;
        } row[] = {{"attn_norm", DIM, 1},     {"attn_q", DIM, DIM},      {"attn_k", DIM, KV},
                   {"attn_v", DIM, KV},       {"attn_output", DIM, DIM}, {"ffn_norm", DIM, 1},
                   {"ffn_gate", DIM, HIDDEN}, {"ffn_down", HIDDEN, DIM}, {"ffn_up", DIM, HIDDEN}};
        expect_tensor(f, "token_embd.weight", DIM, N_VOCAB, 0);
        at += DIM * N_VOCAB;
        for (size_t i = 0; i < sizeof row / sizeof *row; i++)
            for (int k = 0; k < N_LAYER; k++) {
                char name[64];
                snprintf(name, sizeof name, "blk.%d.%s.weight", k, row[i].name);
                expect_tensor(f, name, (uint64_t)row[i].cols, (uint64_t)row[i].rows, at);
                at += row[i].cols * row[i].rows;
            }
        expect_tensor(f, "output_norm.weight", DIM, 1, at);
        at += DIM + N_CTX * DIM / N_HEAD;
        if (untied)
            expect_tensor(f, "output.weight", DIM, N_VOCAB, at);
        assert_int_equal(model_file_n_tensor(f), 2 + 9 * N_LAYER + untied);
        uint32_t v = 0;
        assert_int_equal(mf_u32(f, "llama.attention.head_count_kv", &v, NULL, NULL), 0);
        assert_int_equal(v, N_KV);
        assert_int_equal(mf_u32(f, "llama.rope.dimension_count", &v, NULL, NULL), 0);
        assert_int_equal(v, DIM / N_HEAD);
        model_file_free(f);
    }
}

static void vocabulary(void **state)
{
    static const char *const want[N_VOCAB] = {"<unk>",
                                              "<s>",
                                              "</s>",
                                              "<0x41>",
                                              "\xe2\x96\x81"
                                              "a\xe2\x96\x81"
                                              "b",
                                              "b",
                                              "\xc3\xa4"};
    static const int32_t want_type[N_VOCAB] = {2, 3, 3, 6, 1, 1, 1};
    struct model_file *f;
    struct str *tokens;
    float *score;
    int32_t *type;
    uint64_t n;
    write_tokenizer(tmp_path("tok7.bin"), N_VOCAB, 0);
    write_checkpoint(tmp_path("m.bin"), false, 0);
    assert_int_equal(model_file_open(tmp_path("m.bin"), &f, NULL), 0);
    assert_int_equal(mf_strs(f, "tokenizer.ggml.tokens", &tokens, &n, NULL), 0);
    assert_int_equal(n, N_VOCAB);
    assert_int_equal(mf_f32s(f, "tokenizer.ggml.scores", &score, &n, NULL), 0);
    assert_int_equal(mf_i32s(f, "tokenizer.ggml.token_type", &type, &n, NULL), 0);
    for (int i = 0; i < N_VOCAB; i++)
        assert_true(str_is(tokens[i], want[i]) && score[i] == (float)-i && type[i] == want_type[i]);
    free(tokens);
    free(score);
    free(type);
    model_file_free(f);
}

static void refused(const char *path, const char *words)
{
    struct model_file *f;
    struct lathe_err err = {0};
    int rc = model_file_open(path, &f, &err);
    if (rc != LATHE_E_FILE || !strstr(err.text, words))
        fail_msg("%d %s", rc, err.text);
}

static void other_tokenizers_and_sizes(void **state)
{
    struct model_file *f;
    unlink(tmp_path("tok7.bin"));
    write_checkpoint(tmp_path("m.bin"), false, 0);
    refused(tmp_path("m.bin"), "needs its tokenizer; put tok7.bin or tokenizer.bin beside it");
    write_tokenizer(tmp_path("tokenizer.bin"), N_VOCAB, 0);
    assert_int_equal(model_file_open(tmp_path("m.bin"), &f, NULL), 0);
    model_file_free(f);
    write_tokenizer(tmp_path("tokenizer.bin"), N_VOCAB, 1);
    refused(tmp_path("m.bin"), "tokenizer.bin does not hold exactly the 7 tokens of the model (token 7)");
    write_tokenizer(tmp_path("tokenizer.bin"), N_VOCAB - 1, 0);
    refused(tmp_path("m.bin"), "does not hold exactly the 7 tokens of the model (token 6)");
    for (off_t cut = 60; cut > 0; cut--) {
        write_tokenizer(tmp_path("tokenizer.bin"), N_VOCAB, 0);
        assert_int_equal(truncate(tmp_path("tokenizer.bin"), cut), 0);
        refused(tmp_path("m.bin"), "does not hold exactly the 7 tokens");
    }
    FILE *out = fopen(tmp_path("tokenizer.bin"), "r+b"); /* a length that is negative */
    fseek(out, 8, SEEK_SET);
    fwrite(&(int32_t){-1}, 4, 1, out);
    fclose(out);
    refused(tmp_path("m.bin"), "(token 0)");
    out = fopen(tmp_path("tokenizer.bin"), "r+b"); /* and one that is far behind the end */
    fseek(out, 8, SEEK_SET);
    fwrite(&(int32_t){INT32_MAX}, 4, 1, out);
    fclose(out);
    refused(tmp_path("m.bin"), "(token 0)");
    write_checkpoint(tmp_path("m.bin"), false, 1);
    refused(tmp_path("m.bin"), "does not start with GGUF; name a .gguf file or a llama2.c checkpoint");
}

/* The file has the size that its header would ask for: it is the header alone that is refused. */
static void headers_that_are_no_shape(void **state)
{
    static const struct {
        int32_t h[7];
        bool legal;
    } rows[] = {{{8, 12, 2, 4, 2, 7, 10}, true},         {{8, 12, 2, 3, 1, 7, 10}, false},
                {{8, 12, 2, 4, 3, 7, 10}, false},        {{8, 12, 2, 8, 2, 7, 10}, false},
                {{8, 12, 2, 4, 2, 0, 10}, false},        {{8, 12, 1025, 4, 2, 7, 10}, false},
                {{-8, 12, 2, 4, 2, 7, 10}, false},       {{8, 12, 2, 0, 2, 7, 10}, false},
                {{8, 12, 2, 4, 2, INT32_MIN, 10}, false}};
    write_tokenizer(tmp_path("tokenizer.bin"), N_VOCAB, 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int32_t *h = rows[i].h;
        int64_t head = h[3] ? h[0] / h[3] : 1, kv = head * h[4], dim = h[0], vocab = llabs(h[5]) % 1000;
        int64_t n = vocab * dim + h[2] * (2 * dim + 2 * dim * dim + 2 * kv * dim + 3 * h[1] * dim) + dim +
                    h[6] * head;
        const char *path = tmp_path("h.bin");
        FILE *out = fopen(path, "wb");
        fwrite(h, 28, 1, out);
        fclose(out);
        assert_int_equal(truncate(path, 28 + 4 * llabs(n)), 0);
        struct model_file *f = NULL;
        if (!rows[i].legal)
            refused(path, "does not start with GGUF");
        else
            assert_int_equal(model_file_open(path, &f, NULL), 0);
        model_file_free(f);
    }
}

static void stories260K(void **state)
{
    char path[1000];
    const char *shared = getenv("LATHE_SHARED");
    snprintf(path, sizeof path, "%s/data/models/stories260K.bin", shared ? shared : "../shared");
    if (access(path, R_OK)) {
        print_message("SKIPPED: stories260K.bin is not at %s (LATHE_SHARED names the folder)\n", path);
        skip();
    }
    struct model_file *f;
    struct str *tokens;
    uint64_t n;
    assert_int_equal(model_file_open(path, &f, NULL), 0);
    assert_int_equal(model_file_n_tensor(f), 2 + 9 * 5);
    assert_int_equal(mf_strs(f, "tokenizer.ggml.tokens", &tokens, &n, NULL), 0);
    assert_int_equal(n, 512);
    assert_true(str_is(tokens[3], "<0x00>") && str_is(tokens[259], "\xe2\x96\x81t"));
    free(tokens);
    struct mf_identity id;
    assert_true(model_file_identity(f, 1, &id) &&
                id.size == 6227); /* the tokenizer file is part of what the model is */
    model_file_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_and_keys),
        cmocka_unit_test(vocabulary),
        cmocka_unit_test(other_tokenizers_and_sizes),
        cmocka_unit_test(headers_that_are_no_shape),
        cmocka_unit_test(stories260K),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
