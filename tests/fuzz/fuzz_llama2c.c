/* Fuzzes the importer of llama2.c checkpoints: the input is the tokenizer file behind two bytes that choose
 * the checkpoint's shape. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "format/model_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char dir[64], model[100], tokenizer[100];

static void clean(void)
{
    unlink(model);
    unlink(tokenizer);
    rmdir(dir);
}

static void write_file(const char *path, const void *p, size_t n)
{
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(p, 1, n, out) != n || fclose(out))
        abort();
}

/* A checkpoint of zeros with dim 2, one head, one layer, n_vocab tokens: 7 integers and its floats, or
 * another size. */
static void write_model(int n_vocab, int n_wrong)
{
    static float file[7 + 2 * 2 * 64 + 64 + 8];
    int32_t header[7] = {2, 1, 1, 1, 1, n_vocab, 1};
    int n_float = 2 * abs(n_vocab) * (n_vocab < 0 ? 2 : 1) + 2 + 16 + 2 + 6 + 2 + 2 + n_wrong;
    memcpy(file, header, sizeof header);
    write_file(model, file, sizeof header + 4 * (size_t)n_float);
}

static void read_all(const struct model_file *f)
{
    struct str *tokens;
    float *scores;
    int32_t *types;
    uint64_t n_token, n_score, n_type;
    if (mf_strs(f, "tokenizer.ggml.tokens", &tokens, &n_token, NULL) ||
        mf_f32s(f, "tokenizer.ggml.scores", &scores, &n_score, NULL) ||
        mf_i32s(f, "tokenizer.ggml.token_type", &types, &n_type, NULL))
        abort();
    const struct mf_tensor *t = model_file_tensor_find(f, "token_embd.weight");
    if (n_token != n_score || n_token != n_type || !t || t->dim[1] != n_token || t->data[t->n_bytes - 1])
        abort();
    for (uint64_t i = 0; i < n_token; i++)
        for (size_t k = 0; k < tokens[i].n; k++)
            if (tokens[i].p[k] == ' ')
                abort();
    free(tokens);
    free(scores);
    free(types);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct model_file *f;
    struct lathe_err err = {0};
    if (n < 2)
        return 0;
    if (!dir[0]) {
        strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/lathe-fuzz-XXXXXX"
                                             : "/dev/shm/lathe-fuzz-XXXXXX"); /* no disk */
        if (!mkdtemp(dir))
            abort();
        snprintf(model, sizeof model, "%s/m.bin", dir);
        snprintf(tokenizer, sizeof tokenizer, "%s/tokenizer.bin", dir);
        atexit(clean);
    }
    write_model((int8_t)data[0] / 2, data[1] > 250 ? data[1] - 253 : 0);
    write_file(tokenizer, data + 2, n - 2);
    int rc = model_file_open(model, &f, &err);
    if (rc ? f || !err.text[0] || err.code != rc : !f)
        abort();
    if (!rc)
        read_all(f);
    model_file_free(f);
    return 0;
}
