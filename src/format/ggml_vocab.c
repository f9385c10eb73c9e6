/* A tokenizer.json as tokenizer.ggml.*: the tokens, what goes around a text, and the keys.
 *
 *     tokens      by id: those of the model, then added ones; holes and rows of the embedding that no token has become [PAD<id>]
 *     types       added ones are control or user-defined, as `special` says; bytes and the unknown token by what the model is
 *     around      the post-processor's token in front and behind: ggml has one of each
 *
 * What the tokenizer is, and whether ggml has such a one, is said by a function for each (ggml_vocab.h). */
#include "format/ggml_vocab.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define JSON_KEY "tokenizer.huggingface.json"

bool gv_cannot(struct gv *g, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!g->why[0])
        vsnprintf(g->why, sizeof g->why, fmt, ap);
    va_end(ap);
    return false;
}

void gv_differs(struct gv *g, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!g->differs[0])
        vsnprintf(g->differs, sizeof g->differs, fmt, ap);
    va_end(ap);
}

const char *gv_text(const json_t *j, const char *key)
{
    const char *text = json_string_value(json_object_get(j, key));
    return text ? text : "";
}

const char *gv_step_type(const json_t *step)
{
    return gv_text(step, "type");
}

const char *gv_pattern(const json_t *step, const char *kind)
{
    return gv_text(json_object_get(step, "pattern"), kind);
}

static int wrong(struct gv *g, const char *what)
{
    return err_set(g->err, LATHE_E_FILE, "tokenizer.json: %s", what);
}

/* ---- steps ---- */

static int take_steps(struct gv *g, const json_t *j, const char *list, struct gv_steps *out, int depth)
{
    if (!j || json_is_null(j))
        return 0;
    if (!gv_step_type(j)[0])
        return wrong(g, "a step is no object with a 'type'");
    if (strcmp(gv_step_type(j), "Sequence") != 0) {
        if (out->n == GV_MAX_STEP)
            return err_set(g->err, LATHE_E_LIMIT, "tokenizer.json has more than %d %s", GV_MAX_STEP, list);
        out->v[out->n++] = j;
        return 0;
    }
    const json_t *steps = json_object_get(j, list);
    if (depth == GV_MAX_STEP)
        return wrong(g, "sequences of steps are nested too deeply");
    for (size_t i = 0; i < json_array_size(steps); i++)
        TRY(take_steps(g, json_array_get(steps, i), list, out, depth + 1));
    return 0;
}

/* ---- tokens ---- */

static int put_token(struct gv *g, struct str text, int64_t id, bool added)
{
    if (id < 0 || (uint64_t)id >= g->n)
        return err_set(g->err, LATHE_E_FILE,
                       "tokenizer.json: token '" STR_FMT "' has the id %" PRId64
                       ", but the embedding has %zu rows",
                       STR_ARG(text), id, g->n);
    struct gv_token *t = &g->token[id];
    if (t->text.p && !str_eq(t->text, text))
        return err_set(g->err, LATHE_E_FILE,
                       "tokenizer.json: tokens '" STR_FMT "' and '" STR_FMT "' both have the id %" PRId64,
                       STR_ARG(t->text), STR_ARG(text), id);
    t->text = text;
    t->type = t->type ? t->type : GV_NORMAL;
    t->added |= added;
    t->model |= !added;
    return 0;
}

static int take_model(struct gv *g, const json_t *tokens)
{
    const char *key;
    size_t n_key;
    json_t *value;
    for (size_t i = 0; json_is_array(tokens) && i < json_array_size(tokens); i++) {
        const json_t *text = json_array_get(json_array_get(tokens, i), 0);
        if (!json_is_string(text))
            return wrong(g, "a token of the model is no pair of a text and a score");
        TRY(put_token(g, (struct str){json_string_value(text), json_string_length(text)}, (int64_t)i, false));
    }
    json_object_keylen_foreach((json_t *)tokens, key, n_key, value) TRY(put_token(
        g, (struct str){key, n_key}, json_is_integer(value) ? json_integer_value(value) : -1, false));
    return 0;
}

static int take_added(struct gv *g, const json_t *added)
{
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *j = json_array_get(added, i), *text = json_object_get(j, "content"),
                     *id = json_object_get(j, "id");
        if (!json_is_string(text) || !json_is_integer(id))
            return wrong(g, "an added token has no content or no id");
        struct str s = {json_string_value(text), json_string_length(text)};
        TRY(put_token(g, s, json_integer_value(id), true));
        g->token[json_integer_value(id)].type =
            json_is_true(json_object_get(j, "special")) ? GV_CONTROL : GV_USER;
        for (int k = 0; k < 3; k++) {
            static const char *const flags[] = {"lstrip", "rstrip", "single_word"};
            if (json_is_true(json_object_get(j, flags[k])))
                gv_differs(g, "'%.40s' is found with %s, which GGUF has no word for", s.p, flags[k]);
        }
    }
    return 0;
}

/* Rows of the embedding; without one, as many as there are ids. */
static size_t count_tokens(const struct gv *g, const json_t *tokens, const json_t *added)
{
    const struct mf_tensor *embd = model_file_tensor_find(g->f, "token_embd.weight");
    const char *key;
    json_t *value;
    if (embd)
        return embd->dim[1] < GV_MAX_TOKEN ? embd->dim[1] : GV_MAX_TOKEN;
    int64_t n = (int64_t)json_array_size(tokens);
    json_object_foreach((json_t *)tokens, key, value) n =
        json_integer_value(value) >= n ? json_integer_value(value) + 1 : n;
    for (size_t i = 0; i < json_array_size(added); i++) {
        int64_t id = json_integer_value(json_object_get(json_array_get(added, i), "id"));
        n = id >= n ? id + 1 : n;
    }
    return n < GV_MAX_TOKEN ? (size_t)n : GV_MAX_TOKEN;
}

static int take_tokens(struct gv *g)
{
    const json_t *tokens = json_object_get(g->model, "vocab"),
                 *added = json_object_get(g->root, "added_tokens");
    void *p;
    if (!json_is_object(tokens) && !json_is_array(tokens))
        return wrong(g, "the model has no 'vocab'");
    g->n = count_tokens(g, tokens, added);
    TRY(mem_try(g->n, sizeof *g->token, "tokens", &p, g->err));
    g->token = p;
    TRY(take_model(g, tokens));
    TRY(take_added(g, added));
    for (size_t i = 0; i < g->n; i++)
        if (!g->token[i].text.p) {
            char name[32];
            int n = snprintf(name, sizeof name, "[PAD%zu]", i);
            g->token[i].text = (struct str){arena_dup(&g->f->arena, name, (size_t)n), (size_t)n};
            g->token[i].type = GV_UNUSED;
        }
    return 0;
}

int64_t gv_id(const struct gv *g, const char *text, size_t n)
{
    const json_t *id = json_object_getn(json_object_get(g->model, "vocab"), text, n);
    return json_is_integer(id) ? json_integer_value(id) : -1;
}

/* ---- what goes around a text ---- */

static bool put_around(struct gv *g, int64_t id, bool behind)
{
    int64_t *to = behind ? &g->eos : &g->bos;
    int *add = behind ? &g->add_eos : &g->add_bos;
    if (id < 0 || (uint64_t)id >= g->n)
        return gv_cannot(g, "its post-processor names a token that is not there");
    if (*add == 1)
        return gv_cannot(g, "it puts more than one token %s a text", behind ? "behind" : "in front of");
    *to = id;
    *add = 1;
    return true;
}

static bool around_template(struct gv *g, const json_t *j)
{
    const json_t *single = json_object_get(j, "single"), *specials = json_object_get(j, "special_tokens");
    bool behind = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *special = json_object_get(json_array_get(single, i), "SpecialToken");
        const json_t *ids = json_object_get(json_object_get(specials, gv_text(special, "id")), "ids");
        behind |= !special;
        for (size_t k = 0; special && k < json_array_size(ids); k++)
            if (!put_around(g, json_integer_value(json_array_get(ids, k)), behind))
                return false;
    }
    return true;
}

static int around(struct gv *g)
{
    struct gv_steps steps = {0};
    TRY(take_steps(g, json_object_get(g->root, "post_processor"), "processors", &steps, 0));
    for (int i = 0; i < steps.n; i++) {
        const char *type = gv_step_type(steps.v[i]);
        bool pair = strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0;
        if (strcmp(type, "ByteLevel") == 0)
            continue;
        if (!pair && strcmp(type, "TemplateProcessing") != 0) {
            gv_cannot(g, "GGUF has no post-processor %.40s", type);
            continue;
        }
        g->add_bos = g->add_bos < 0 ? 0 : g->add_bos;
        g->add_eos = g->add_eos < 0 ? 0 : g->add_eos;
        if (!pair) {
            around_template(g, steps.v[i]);
            continue;
        }
        put_around(g, json_integer_value(json_array_get(json_object_get(steps.v[i], "cls"), 1)), false);
        put_around(g, json_integer_value(json_array_get(json_object_get(steps.v[i], "sep"), 1)), true);
    }
    return 0;
}

/* ---- the keys ---- */

static void drop(struct model_file *f, const char *key)
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
    drop(g->f, key);
    meta_put_u32(g->f, key, (uint64_t)v);
}

static void set_bool(struct gv *g, const char *key, bool v)
{
    drop(g->f, key);
    meta_put_bool(g->f, key, v);
}

static void put_str(struct buf *b, const char *p, size_t n)
{
    uint64_t len = n;
    buf_put(b, &len, sizeof len);
    buf_put(b, p, n);
}

static const struct str mark = {"\xe2\x96\x81", 3};

/* The token as GGUF has it, behind its length. */
static void put_spelling(const struct gv *g, const struct gv_token *t, struct buf *b)
{
    struct str s = t->text;
    bool pieces = str_is(g->name, "bert") && t->type != GV_UNUSED;
    if (pieces && s.n >= 2 && memcmp(s.p, "##", 2) == 0) {
        put_str(b, s.p + 2, s.n - 2);
    } else if (pieces && !(s.n > 1 && s.p[0] == '[' && s.p[s.n - 1] == ']')) {
        uint64_t len = mark.n + s.n;
        buf_put(b, &len, sizeof len);
        buf_put(b, mark.p, mark.n);
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

static int put_merges(struct gv *g)
{
    const json_t *merges = json_object_get(g->model, "merges");
    struct buf b;
    buf_init(&b, 1 << 30);
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *j = json_array_get(merges, i), *left = json_array_get(j, 0),
                     *right = json_array_get(j, 1);
        if (json_is_string(j)) {
            put_str(&b, json_string_value(j), json_string_length(j));
        } else if (json_is_string(left) && json_is_string(right)) {
            uint64_t n = json_string_length(left) + 1 + json_string_length(right);
            buf_put(&b, &n, sizeof n);
            buf_put(&b, json_string_value(left), json_string_length(left));
            buf_putc(&b, ' ');
            buf_put(&b, json_string_value(right), json_string_length(right));
        } else {
            buf_free(&b);
            return wrong(g, "a merge is no pair of texts");
        }
    }
    meta_put_array(g->f, "tokenizer.ggml.merges", MF_STR, json_array_size(merges), b.p ? b.p : "", b.n);
    buf_free(&b);
    return 0;
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

static int put_tokens(struct gv *g, struct buf *b)
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
    return g->merges ? put_merges(g) : 0;
}

/* ---- all of it ---- */

/* Which tokenizer of ggml it is; false: none. */
static bool find_kind(struct gv *g)
{
    static const struct {
        const char *model;
        bool (*is)(struct gv *g);
    } kinds[] = {{"Unigram", gv_unigram}, {"WordPiece", gv_pieces}};
    const char *type = gv_step_type(g->model);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i].model) == 0)
            return kinds[i].is(g);
    if (strcmp(type, "BPE") != 0 && !(type[0] == 0 && json_object_get(g->model, "merges")))
        return gv_cannot(g, "GGUF has no model of words '%.40s'", type);
    for (int i = 0; i < g->pre.n; i++)
        if (strcmp(gv_step_type(g->pre.v[i]), "ByteLevel") == 0)
            return gv_bytes(g);
    return gv_sentences(g);
}

static int translate(struct gv *g)
{
    struct buf b;
    if (!json_is_object(g->root) || !json_is_object(g->model))
        return wrong(g, "it is no JSON object with a model");
    TRY(take_steps(g, json_object_get(g->root, "normalizer"), "normalizers", &g->norm, 0));
    TRY(take_steps(g, json_object_get(g->root, "pre_tokenizer"), "pretokenizers", &g->pre, 0));
    TRY(take_steps(g, json_object_get(g->root, "decoder"), "decoders", &g->dec, 0));
    TRY(take_tokens(g));
    TRY(around(g));
    find_kind(g);
    if (g->why[0])
        return 0;
    buf_init(&b, 1 << 30);
    for (size_t i = 0; i < g->n; i++)
        put_spelling(g, &g->token[i], &b);
    int rc = b.full ? wrong(g, "its tokens have more than 1 GiB of text") : check_twice(g, &b);
    if (!rc && !g->why[0])
        rc = put_tokens(g, &b);
    buf_free(&b);
    if (!rc && !g->why[0]) {
        put_ids(g);
        if (!g->differs[0])
            drop(g->f, JSON_KEY);
    }
    return rc;
}

int ggml_vocab(struct model_file *f, char note[400], struct lathe_err *err)
{
    const struct mf_meta *m = model_file_find(f, JSON_KEY);
    struct gv g = {.f = f,
                   .prefix = -1,
                   .pre_name = "default",
                   .bos = -1,
                   .eos = -1,
                   .unk = -1,
                   .add_bos = -1,
                   .add_eos = -1,
                   .err = err};
    note[0] = 0;
    if (!m || m->kind != MF_STR || model_file_find(f, "tokenizer.ggml.model"))
        return 0;
    struct str text = mf_meta_str(m);
    json_t *root = json_loadb(text.p, text.n, JSON_ALLOW_NUL, NULL);
    g.root = root;
    g.model = json_object_get(root, "model");
    int rc = translate(&g);
    if (!rc)
        rc = mf_index_meta(f, err);
    if (!rc && g.why[0])
        snprintf(note, 400, "other programs cannot read the tokenizer of this file: %s", g.why);
    else if (!rc && g.differs[0])
        snprintf(note, 400, "other programs read a few texts as other tokens than this one: %s", g.differs);
    json_decref(root);
    free(g.token);
    free(g.score);
    return rc;
}
