/* llama2.c checkpoints (the first layout, without a magic number) and the tokenizer file beside them.
 *
 *     i32 dim, hidden_dim, n_layer, n_head, n_head_kv, n_vocab (negative: untied output head), n_ctx
 *     f32 token_embd, attn_norm*, wq*, wk*, wv*, wo*, ffn_norm*, gate*, down*, up*,
 *         output_norm, rotary tables, [output]
 *
 * (* for all layers in a row.) Presented as GGUF would: names, keys, vocabulary. Rotary pairs are adjacent in
 * both, so no row moves. With no magic number, the file's size is what identifies it: it must be exactly what
 * the header asks for.
 *
 * The tokenizer: i32 longest token, then per token f32 score, i32 n, n bytes, where a blank stands for the
 * U+2581 of SentencePiece. */
#include "format/meta_build.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape {
    uint64_t dim, hidden, n_layer, n_head, n_head_kv, n_vocab, n_ctx, head_dim;
    bool untied;
};

/* A row of the layout: rows x cols per layer (or once), in file order. Sizes are indexes of struct dims. */
enum { ONE, DIM, KV, HIDDEN, VOCAB, ROTARY, N_SIZE };
enum { PER_LAYER = 1, SKIPPED = 2, HEAD = 4 };

static const struct {
    const char *name; /* with %llu for the layer */
    int rows, cols, flags;
} layout[] = {
    {"token_embd.weight", VOCAB, DIM, 0},
    {"blk.%llu.attn_norm.weight", ONE, DIM, PER_LAYER},
    {"blk.%llu.attn_q.weight", DIM, DIM, PER_LAYER},
    {"blk.%llu.attn_k.weight", KV, DIM, PER_LAYER},
    {"blk.%llu.attn_v.weight", KV, DIM, PER_LAYER},
    {"blk.%llu.attn_output.weight", DIM, DIM, PER_LAYER},
    {"blk.%llu.ffn_norm.weight", ONE, DIM, PER_LAYER},
    {"blk.%llu.ffn_gate.weight", HIDDEN, DIM, PER_LAYER},
    {"blk.%llu.ffn_down.weight", DIM, HIDDEN, PER_LAYER},
    {"blk.%llu.ffn_up.weight", HIDDEN, DIM, PER_LAYER},
    {"output_norm.weight", ONE, DIM, 0},
    {"rotary tables", ROTARY, ONE, SKIPPED},
    {"output.weight", VOCAB, DIM, HEAD},
};
enum { N_LAYOUT = sizeof layout / sizeof *layout };

static bool read_shape(const uint8_t *p, uint64_t n, struct shape *s)
{
    int32_t h[7];
    if (n < sizeof h)
        return false;
    memcpy(h, p, sizeof h);
    for (int i = 0; i < 7; i++)
        if (i != 5 && (h[i] <= 0 || h[i] > 1 << 20))
            return false;
    int64_t vocab = h[5];
    if (vocab == 0 || vocab > 1 << 20 || vocab < -(1 << 20) || h[2] > 1024 || h[0] % h[3] || h[3] % h[4] ||
        (h[0] / h[3]) % 2)
        return false;
    *s = (struct shape){.dim = (uint64_t)h[0],
                        .hidden = (uint64_t)h[1],
                        .n_layer = (uint64_t)h[2],
                        .n_head = (uint64_t)h[3],
                        .n_head_kv = (uint64_t)h[4],
                        .n_vocab = (uint64_t)llabs(vocab),
                        .n_ctx = (uint64_t)h[6],
                        .untied = vocab < 0,
                        .head_dim = (uint64_t)(h[0] / h[3])};
    return true;
}

static void sizes_of(const struct shape *s, uint64_t size[N_SIZE])
{
    size[ONE] = 1;
    size[DIM] = s->dim;
    size[KV] = s->head_dim * s->n_head_kv;
    size[HIDDEN] = s->hidden;
    size[VOCAB] = s->n_vocab;
    size[ROTARY] = s->n_ctx * s->head_dim; /* cosines and sines of half a head each */
}

/* The limits of read_shape keep the sum below 2^63. */
static uint64_t file_bytes(const struct shape *s)
{
    uint64_t size[N_SIZE], n = 0;
    sizes_of(s, size);
    for (int i = 0; i < N_LAYOUT; i++)
        if (!(layout[i].flags & HEAD) || s->untied)
            n += size[layout[i].rows] * size[layout[i].cols] * (layout[i].flags & PER_LAYER ? s->n_layer : 1);
    return 7 * sizeof(int32_t) + n * sizeof(float);
}

bool llama2c_looks_like(const uint8_t *p, uint64_t n)
{
    struct shape s;
    return read_shape(p, n, &s) && file_bytes(&s) == n;
}

static int add_tensors(struct model_file *f, const struct shape *s, struct lathe_err *err)
{
    uint64_t size[N_SIZE];
    void *table;
    sizes_of(s, size);
    TRY(mem_try(3 + 9 * s->n_layer, sizeof *f->tensor, "tensor table of the model file", &table, err));
    f->tensor = table;
    const uint8_t *p = f->part.p + 7 * sizeof(int32_t);
    for (int i = 0; i < N_LAYOUT; i++) {
        if (layout[i].flags & HEAD && !s->untied)
            continue;
        uint64_t rows = size[layout[i].rows], cols = size[layout[i].cols],
                 n_bytes = rows * cols * sizeof(float);
        for (uint64_t k = 0; k < (layout[i].flags & PER_LAYER ? s->n_layer : 1); k++, p += n_bytes) {
            if (layout[i].flags & SKIPPED)
                continue;
            char name[64];
            if (layout[i].flags & PER_LAYER)
                snprintf(name, sizeof name, layout[i].name, (unsigned long long)k);
            else
                snprintf(name, sizeof name, "%s", layout[i].name);
            f->tensor[f->n_tensor++] = (struct mf_tensor){.name = arena_dup(&f->arena, name, strlen(name)),
                                                          .n_dim = rows == 1 ? 1 : 2,
                                                          .dim = {cols, rows, 1, 1},
                                                          .data = p,
                                                          .n_bytes = n_bytes};
        }
    }
    return mf_index_tensors(f, err);
}

/* ---- metadata ---- */

static void add_keys(struct model_file *f, const struct shape *s)
{
    meta_put_str(f, "general.architecture", STR("llama"));
    meta_put_str(f, "general.name", STR("llama2.c checkpoint"));
    meta_put_u32(f, "llama.context_length", s->n_ctx);
    meta_put_u32(f, "llama.embedding_length", s->dim);
    meta_put_u32(f, "llama.block_count", s->n_layer);
    meta_put_u32(f, "llama.feed_forward_length", s->hidden);
    meta_put_u32(f, "llama.attention.head_count", s->n_head);
    meta_put_u32(f, "llama.attention.head_count_kv", s->n_head_kv);
    meta_put_f32(f, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    meta_put_u32(f, "llama.rope.dimension_count", s->head_dim);
    meta_put_f32(f, "llama.rope.freq_base", 10000.0f);
    meta_put_u32(f, "llama.vocab_size", s->n_vocab);
    meta_put_str(f, "tokenizer.ggml.model", STR("llama"));
    meta_put_u32(f, "tokenizer.ggml.bos_token_id", 1);
    meta_put_u32(f, "tokenizer.ggml.eos_token_id", 2);
    meta_put_u32(f, "tokenizer.ggml.unknown_token_id", 0);
    meta_put_bool(f, "tokenizer.ggml.add_bos_token", true);
    meta_put_bool(f, "tokenizer.ggml.add_eos_token", false);
    meta_put_bool(f, "tokenizer.ggml.add_space_prefix", true);
}

/* ---- tokenizer ---- */

/* Token types of GGUF. */
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, BYTE = 6 };

struct tokens {
    struct buf text; /* as a GGUF array of strings */
    float *score;
    int32_t *type;
};

static int token_type(uint64_t id, const char *p, size_t n)
{
    if (id < 3)
        return id == 0 ? UNKNOWN : CONTROL;
    return n == 6 && !memcmp(p, "<0x", 3) && p[5] == '>' ? BYTE : NORMAL;
}

/* Blanks become U+2581; control tokens lose the line ends that llama2.c puts around them. */
static int put_token(struct buf *b, int type, const char *p, size_t n)
{
    while (type == CONTROL && n && *p == '\n')
        p++, n--;
    while (type == CONTROL && n && p[n - 1] == '\n')
        n--;
    uint64_t len = n;
    for (size_t i = 0; i < n; i++)
        len += p[i] == ' ' ? 2 : 0;
    TRY(buf_put(b, &len, sizeof len));
    for (size_t i = 0; i < n; i++)
        TRY(p[i] == ' ' ? buf_put(b, "\xe2\x96\x81", 3) : buf_putc(b, p[i]));
    return 0;
}

static int bad_tokenizer(const struct mf_part *t, uint64_t id, uint64_t n_vocab, struct lathe_err *err)
{
    return err_set(err, LATHE_E_FILE,
                   "%s does not hold exactly the %llu tokens of the model (token %llu); put the model's own "
                   "tokenizer there",
                   mf_path_tail(t->path), (unsigned long long)n_vocab, (unsigned long long)id);
}

static int read_tokens(const struct mf_part *t, uint64_t n_vocab, struct tokens *k, struct lathe_err *err)
{
    uint64_t pos = sizeof(int32_t);
    for (uint64_t id = 0; id < n_vocab; id++) {
        int32_t n;
        if (t->n < pos + 8)
            return bad_tokenizer(t, id, n_vocab, err);
        memcpy(&k->score[id], t->p + pos, 4);
        memcpy(&n, t->p + pos + 4, 4);
        pos += 8;
        if (n < 0 || (uint64_t)n > t->n - pos || k->score[id] != k->score[id])
            return bad_tokenizer(t, id, n_vocab, err);
        const char *p = (const char *)t->p + pos;
        k->type[id] = token_type(id, p, (size_t)n);
        if (put_token(&k->text, k->type[id], p, (size_t)n))
            return bad_tokenizer(t, id, n_vocab, err);
        pos += (uint64_t)n;
    }
    return pos == t->n ? 0 : bad_tokenizer(t, n_vocab, n_vocab, err);
}

/* Opens tok<n_vocab>.bin or tokenizer.bin in the folder of the model. */
static int open_tokenizer(const struct model_file *f, uint64_t n_vocab, struct mf_part *out,
                          struct lathe_err *err)
{
    const char *slash = strrchr(f->part.path, '/');
    int n_dir = slash ? (int)(slash - f->part.path) + 1 : 0;
    char path[4096];
    for (int i = 0; i < 2; i++) {
        int n = i ? snprintf(path, sizeof path, "%.*stokenizer.bin", n_dir, f->part.path)
                  : snprintf(path, sizeof path, "%.*stok%llu.bin", n_dir, f->part.path,
                             (unsigned long long)n_vocab);
        if (n >= (int)sizeof path)
            break;
        if (!mf_part_open(out, path, NULL))
            return 0;
        mf_part_close(out);
    }
    return err_set(
        err, LATHE_E_FILE,
        "%s is a llama2.c checkpoint and needs its tokenizer; put tok%llu.bin or tokenizer.bin beside it",
        mf_path_tail(f->part.path), (unsigned long long)n_vocab);
}

static int add_tokenizer(struct model_file *f, const struct shape *s, struct lathe_err *err)
{
    f->more = mem_new(sizeof *f->more);
    f->more[0] = mf_new();
    f->n_more = 1;
    struct mf_part *t = &f->more[0]->part;
    struct tokens k = {0};
    void *score, *type = NULL;
    int rc;
    TRY(open_tokenizer(f, s->n_vocab, t, err));
    TRY(mem_try(s->n_vocab, sizeof *k.score, "token scores", &score, err));
    TRY_GOTO(mem_try(s->n_vocab, sizeof *k.type, "token types", &type, err));
    k.score = score;
    k.type = type;
    buf_init(&k.text, 8 * s->n_vocab + 3 * t->n); /* the lengths, and blanks of one byte that become three */
    TRY_GOTO(read_tokens(t, s->n_vocab, &k, err));
    meta_put_array(f, "tokenizer.ggml.tokens", MF_STR, s->n_vocab, k.text.p, k.text.n);
    meta_put_array(f, "tokenizer.ggml.scores", MF_F32, s->n_vocab, score, s->n_vocab * sizeof *k.score);
    meta_put_array(f, "tokenizer.ggml.token_type", MF_I32, s->n_vocab, type, s->n_vocab * sizeof *k.type);
done:
    buf_free(&k.text);
    free(score);
    free(type);
    return rc;
}

int llama2c_read(struct model_file *f, struct lathe_err *err)
{
    struct shape s;
    if (!read_shape(f->part.p, f->part.n, &s) || file_bytes(&s) != f->part.n)
        return err_set(err, LATHE_E_FILE, "%s is not a llama2.c checkpoint", mf_path_tail(f->part.path));
    TRY(add_tensors(f, &s, err));
    add_keys(f, &s);
    TRY(add_tokenizer(f, &s, err));
    return mf_index_meta(f, err);
}
