/* The keys tokenizer.ggml.* of tokens that are there. */
#include "format/ggml_vocab.h"
#include <stdlib.h>

void gv_drop(struct model_file *f, const char *key)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < f->n_meta; i++)
        if (!str_is(f->meta[i].key, key))
            f->meta[n++] = f->meta[i];
    f->n_meta = n;
}

/* The index is made anew at the end. */
static bool has_key(const struct model_file *f, const char *key)
{
    for (uint64_t i = 0; i < f->n_meta; i++)
        if (str_is(f->meta[i].key, key))
            return true;
    return false;
}

static void set_u32(struct gv *g, const char *key, int64_t v)
{
    if (v < 0)
        return;
    gv_drop(g->f, key);
    meta_put_u32(g->f, key, (uint64_t)v);
}

static void set_bool(struct gv *g, const char *key, bool v)
{
    gv_drop(g->f, key);
    meta_put_bool(g->f, key, v);
}

static void put_str(struct buf *b, const char *p, size_t n)
{
    uint64_t len = n;
    buf_put(b, &len, sizeof len);
    buf_put(b, p, n);
}

/* The token as GGUF has it, behind its length. */
static void put_spelling(const struct gv *g, const struct gv_token *t, struct buf *b)
{
    struct str s = t->text;
    bool pieces = str_is(g->name, "bert") && t->type != GV_UNUSED;
    if (pieces && s.n >= 2 && memcmp(s.p, "##", 2) == 0) {
        put_str(b, s.p + 2, s.n - 2);
    } else if (pieces && !(s.n > 1 && s.p[0] == '[' && s.p[s.n - 1] == ']')) {
        uint64_t len = gv_mark.n + s.n;
        buf_put(b, &len, sizeof len);
        buf_put(b, gv_mark.p, gv_mark.n);
        buf_put(b, s.p, s.n);
    } else {
        put_str(b, s.p, s.n);
    }
}

static int by_text(const void *pa, const void *pb)
{
    const struct str *a = pa, *b = pb;
    int c = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);
    return c ? c : a->n < b->n ? -1 : a->n > b->n;
}

/* Other programs take a text for one token. */
static int check_twice(struct gv *g, const struct buf *b)
{
    void *p;
    TRY(mem_try(g->n, sizeof(struct str), "tokens", &p, g->err));
    struct str *text = p;
    const char *at = b->p;
    for (size_t i = 0; i < g->n; i++) {
        uint64_t n;
        memcpy(&n, at, sizeof n);
        text[i] = (struct str){at + sizeof n, n};
        at += sizeof n + n;
    }
    qsort(text, g->n, sizeof *text, by_text);
    for (size_t i = 0; i + 1 < g->n; i++)
        if (str_eq(text[i], text[i + 1]))
            gv_cannot(g, "two of its tokens are spelled '%.*s' there", text[i].n > 40 ? 40 : (int)text[i].n,
                      text[i].p);
    free(text);
    return 0;
}

static void put_merges(struct gv *g)
{
    const json_t *merges = json_object_get(g->model, "merges");
    struct buf b;
    buf_init(&b, 1 << 30);
    for (size_t i = 0; i < json_array_size(merges); i++) {
        struct str left = {0}, right = {0};
        gv_parts(json_array_get(merges, i), &left, &right);
        uint64_t n = left.n + 1 + right.n;
        buf_put(&b, &n, sizeof n);
        buf_put(&b, left.p, left.n);
        buf_putc(&b, ' ');
        buf_put(&b, right.p, right.n);
    }
    meta_put_array(g->f, "tokenizer.ggml.merges", MF_STR, json_array_size(merges), b.p ? b.p : "", b.n);
    buf_free(&b);
}

static void put_ids(struct gv *g)
{
    set_u32(g, "tokenizer.ggml.bos_token_id", g->bos);
    set_u32(g, "tokenizer.ggml.unknown_token_id", g->unk);
    if (str_is(g->name, "bert")) {
        set_u32(g, "tokenizer.ggml.cls_token_id", g->bos);
        set_u32(g, "tokenizer.ggml.seperator_token_id", g->eos);
    }
    set_u32(g, "tokenizer.ggml.eos_token_id", g->eos);
    for (size_t i = 0; i < g->n; i++)
        if (g->token[i].added && (str_is(g->token[i].text, "[MASK]") || str_is(g->token[i].text, "<mask>")))
            set_u32(g, "tokenizer.ggml.mask_token_id", (int64_t)i);
    const json_t *pad = json_object_get(json_object_get(g->root, "padding"), "pad_id");
    if (json_is_integer(pad) && json_integer_value(pad) < (int64_t)g->n)
        set_u32(g, "tokenizer.ggml.padding_token_id", json_integer_value(pad));
    static const char *const flags[] = {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"};
    const int add[] = {g->add_bos, g->add_eos};
    for (int i = 0; i < 2; i++) /* said in any case: readers have defaults of their own */
        if (add[i] >= 0 || !has_key(g->f, flags[i]))
            set_bool(g, flags[i], add[i] == 1);
    if (g->prefix >= 0)
        set_bool(g, "tokenizer.ggml.add_space_prefix", g->prefix);
}

static int put_tokens(struct gv *g, const struct buf *b)
{
    void *p;
    TRY(mem_try(g->n, sizeof(int32_t), "token types", &p, g->err));
    int32_t *type = p;
    for (size_t i = 0; i < g->n; i++)
        type[i] = g->token[i].type;
    meta_put_str(g->f, "tokenizer.ggml.model", g->name);
    meta_put_str(g->f, "tokenizer.ggml.pre", str_of(g->pre_name));
    meta_put_array(g->f, "tokenizer.ggml.tokens", MF_STR, g->n, b->p, b->n);
    meta_put_array(g->f, "tokenizer.ggml.token_type", MF_I32, g->n, type, g->n * sizeof *type);
    free(type);
    if (g->score)
        meta_put_array(g->f, "tokenizer.ggml.scores", MF_F32, g->n, g->score, g->n * sizeof *g->score);
    if (g->merges)
        put_merges(g);
    return 0;
}

int gv_keys(struct gv *g)
{
    struct buf b;
    buf_init(&b, 1 << 30);
    for (size_t i = 0; i < g->n; i++)
        put_spelling(g, &g->token[i], &b);
    int rc = b.full ? gv_wrong(g, "its tokens have more than 1 GiB of text") : check_twice(g, &b);
    if (!rc && !g->why[0])
        rc = put_tokens(g, &b);
    if (!rc && !g->why[0])
        put_ids(g);
    buf_free(&b);
    return rc;
}
