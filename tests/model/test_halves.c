/* Rotary halves: a file whose query and key rows are halves of each head gives the bits of one where the pairs are side by
 * side, biases, partial rotation and several heads a panel included. */
#include "unit.h"
#include <lathe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "format/model_file.h"
#include "gguf_write.h"
#include "quant/format.h"
#include "tmp_dir.h"

enum { N_ID = 9, HEAD = 8 };

struct seen {
    float logits[N_ID + 1][GW_N_VOCAB];
    int n;
};

static void keep(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    struct seen *s = user;
    memcpy(s->logits[s->n++], logits, (size_t)n_vocab * sizeof *logits);
}

static void logits_of(const char *path, struct seen *out)
{
    struct lathe_err err = {0};
    struct lathe_model_options mo;
    struct lathe_engine_options eo;
    struct lathe_request r;
    lathe_model *m;
    lathe_engine *e;
    int32_t ids[N_ID] = {5, 9, 200, 31, 77, 7, 260, 8, 1};
    memset(out, 0, sizeof *out);
    lathe_model_options_init(&mo);
    mo.no_cache = true;
    if (lathe_model_open(path, &mo, &m, &err))
        fail_msg("%s", err.text);
    lathe_engine_options_init(&eo);
    eo.n_thread = 1;
    eo.n_ctx = N_ID + 1;
    if (lathe_engine_new(m, &eo, &e, &err))
        fail_msg("%s", err.text);
    lathe_request_init(&r);
    r.ids = ids;
    r.n_ids = N_ID;
    r.on_logits = keep;
    r.user = out;
    r.n_predict = 0;
    r.logits_from = 0;
    uint64_t id;
    if (lathe_engine_submit(e, &r, &id, &err))
        fail_msg("%s", err.text);
    while (lathe_engine_step(e, &err) > 0)
        ;
    lathe_engine_free(e);
    lathe_model_free(m);
    assert_int_equal(out->n, N_ID);
}

/* Rows of each head's first n_rot: the even ones, then the odd ones. */
static void as_halves(const struct mf_tensor *t, int n_rot, uint8_t *out)
{
    uint64_t rows = t->n_dim == 1 ? t->dim[0] : t->dim[1], size = t->n_bytes / rows;
    for (uint64_t row = 0; row < rows; row++) {
        uint64_t i = row % HEAD, to = row;
        if (i < (uint64_t)n_rot)
            to = row - i + (i % 2 ? (uint64_t)n_rot / 2 : 0) + i / 2;
        memcpy(out + to * size, t->data + row * size, size);
    }
}

static bool is_rotated(const char *name)
{
    return strstr(name, "attn_q.") || strstr(name, "attn_k.");
}

/* The file with n_rot of each head rotated, and the same with halves. */
static void write_pair(const char *from, int n_rot, const char *pairs, const char *halves)
{
    struct lathe_err err;
    struct model_file *f;
    if (model_file_open(from, &f, &err))
        fail_msg("%s", err.text);
    for (int k = 0; k < 2; k++) {
        struct gw *g = gw_new();
        for (uint64_t i = 0; i < model_file_n_meta(f); i++) {
            const struct mf_meta *m = model_file_meta(f, i);
            if (strcmp(m->key.p, "llama.rope.dimension_count") == 0)
                continue;
            uint8_t *value = malloc(m->n_bytes + 12);
            size_t at = 0;
            if (m->kind == MF_ARRAY) {
                memcpy(value, &m->elem, 4);
                memcpy(value + 4, &m->n, 8);
                at = 12;
            }
            memcpy(value + at, m->data, m->n_bytes);
            gw_raw(g, m->key.p, m->key.n, m->kind, value, at + m->n_bytes);
            free(value);
        }
        gw_u32(g, "llama.rope.dimension_count", (uint32_t)n_rot);
        if (k)
            gw_bool(g, "llama.rope.halves", true);
        for (uint64_t i = 0; i < model_file_n_tensor(f); i++) {
            const struct mf_tensor *t = model_file_tensor(f, i);
            uint8_t *data = malloc(t->n_bytes);
            memcpy(data, t->data, t->n_bytes);
            if (k && is_rotated(t->name))
                as_halves(t, n_rot, data);
            gw_tensor(g, t->name, t->type, t->n_dim, t->dim, data, t->n_bytes);
            free(data);
        }
        gw_save(g, k ? halves : pairs);
        gw_free(g);
    }
    model_file_free(f);
}

static void same_bits(void **state)
{
    static const int types[] = {FORMAT_F32, FORMAT_F16, FORMAT_BF16, FORMAT_Q8_0, FORMAT_Q4_0};
    static struct seen a, b;
    char source[400], pairs[400], halves[400];
    strcpy(source, tmp_path("source.gguf"));
    strcpy(pairs, tmp_path("pairs.gguf"));
    strcpy(halves, tmp_path("halves.gguf"));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int n_rot = HEAD; n_rot >= 4; n_rot -= 2) {
            struct gw_shape s = {.n_embd = 32,
                                 .n_ff = 64,
                                 .n_head = 4,
                                 .n_head_kv = 2,
                                 .head_dim = HEAD,
                                 .n_layer = 2,
                                 .bias = true};
            gw_random_llama(source, s, types[i], 7 + (uint64_t)n_rot);
            write_pair(source, n_rot, pairs, halves);
            logits_of(pairs, &a);
            logits_of(halves, &b);
            assert_memory_equal(&a, &b, sizeof a);
        }
}

/* The test above can fail: without the key the reordered rows are another model. */
static void without_the_key_it_differs(void **state)
{
    static struct seen a, b;
    char source[400], pairs[400], halves[400];
    strcpy(source, tmp_path("source.gguf"));
    strcpy(pairs, tmp_path("pairs.gguf"));
    strcpy(halves, tmp_path("halves.gguf"));
    struct gw_shape s = {
        .n_embd = 32, .n_ff = 64, .n_head = 4, .n_head_kv = 2, .head_dim = HEAD, .n_layer = 2};
    gw_random_llama(source, s, FORMAT_F32, 3);
    write_pair(source, HEAD, pairs, halves);
    FILE *f = fopen(halves, "r+b");
    assert_non_null(f);
    static char text[1 << 16];
    size_t n = fread(text, 1, sizeof text, f);
    char *key = memmem(text, n, "llama.rope.halves", 17);
    assert_non_null(key);
    fseek(f, key - text + 12, SEEK_SET);
    fputs("HALVE", f);
    fclose(f);
    logits_of(pairs, &a);
    logits_of(halves, &b);
    assert_memory_not_equal(&a, &b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits),
                                       cmocka_unit_test(without_the_key_it_differs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
