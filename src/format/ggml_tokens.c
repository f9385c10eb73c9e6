/* The tokens of a tokenizer.json by their ids: those of the model, then added ones; holes, and rows of the embedding that no token has,
 * become [PAD<id>], as other converters write them. */
#include "format/ggml_vocab.h"
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

/* A token past the embedding is left out: no model can be given its id (Gemma's <image_soft_token> in models that do not see). */
static int put_token(struct gv *g, struct str text, int64_t id, bool added)
{
    if (id < 0)
        return err_set(g->err, LATHE_E_FILE, "tokenizer.json: token '" STR_FMT "' has the id %" PRId64,
                       STR_ARG(text), id);
    if ((uint64_t)id >= g->n) {
        if (!g->beyond[0])
            snprintf(g->beyond, sizeof g->beyond,
                     "'%.*s' has the id %" PRId64 ", but the embedding has %zu rows",
                     text.n > 40 ? 40 : (int)text.n, text.p, id, g->n);
        return 0;
    }
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
            return gv_wrong(g, "a token of the model is no pair of a text and a score");
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
            return gv_wrong(g, "an added token has no content or no id");
        struct str s = {json_string_value(text), json_string_length(text)};
        TRY(put_token(g, s, json_integer_value(id), true));
        if ((uint64_t)json_integer_value(id) >= g->n)
            continue;
        struct gv_token *t = &g->token[json_integer_value(id)];
        t->type = json_is_true(json_object_get(j, "special")) ? GV_CONTROL : GV_USER;
        t->rstrip = json_is_true(json_object_get(j, "rstrip"));
        for (int k = 0; k < 2; k++) {
            static const char *const flags[] = {"lstrip", "single_word"};
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

int64_t gv_id(const struct gv *g, const char *text, size_t n)
{
    const json_t *id = json_object_getn(json_object_get(g->model, "vocab"), text, n);
    return json_is_integer(id) && json_integer_value(id) < (int64_t)g->n ? json_integer_value(id) : -1;
}

bool gv_parts(const json_t *j, struct str *left, struct str *right)
{
    const json_t *l = json_array_get(j, 0), *r = json_array_get(j, 1);
    if (json_is_string(l) && json_is_string(r)) {
        *left = (struct str){json_string_value(l), json_string_length(l)};
        *right = (struct str){json_string_value(r), json_string_length(r)};
        return true;
    }
    struct str s = {json_string_value(j), json_string_length(j)};
    const char *space = s.p ? memchr(s.p, ' ', s.n) : NULL;
    if (!space)
        return false;
    *left = (struct str){s.p, (size_t)(space - s.p)};
    *right = (struct str){space + 1, s.n - left->n - 1};
    return true;
}

static int check_merge(struct gv *g, const json_t *j, size_t i, size_t skip, struct buf *whole)
{
    struct str part[3] = {0};
    if (!gv_parts(j, &part[0], &part[1]))
        return err_set(g->err, LATHE_E_FILE, "tokenizer.json: merge %zu is no pair of texts", i);
    skip = skip < part[1].n ? skip : 0;
    buf_clear(whole);
    buf_put(whole, part[0].p, part[0].n);
    buf_put(whole, part[1].p + skip, part[1].n - skip);
    part[2] = (struct str){whole->p, whole->n};
    for (int k = 0; k < 3; k++) {
        if (gv_id(g, part[k].p, part[k].n) >= 0)
            continue;
        if (!json_is_integer(json_object_getn(json_object_get(g->model, "vocab"), part[k].p, part[k].n)))
            return err_set(g->err, LATHE_E_FILE,
                           "tokenizer.json: merge %zu needs the token '" STR_FMT "', which the model has not",
                           i, STR_ARG(part[k]));
        gv_cannot(g, "merge %zu is of tokens that the model has no row for", i);
    }
    return 0;
}

static int check_merges(struct gv *g)
{
    const json_t *merges = json_object_get(g->model, "merges");
    size_t skip = strlen(gv_text(g->model, "continuing_subword_prefix"));
    struct buf whole;
    int rc = 0;
    buf_init(&whole, 1 << 24);
    for (size_t i = 0; i < json_array_size(merges) && !rc; i++)
        rc = check_merge(g, json_array_get(merges, i), i, skip, &whole);
    buf_free(&whole);
    return rc;
}

int gv_tokens(struct gv *g)
{
    const json_t *tokens = json_object_get(g->model, "vocab"),
                 *added = json_object_get(g->root, "added_tokens");
    void *p;
    if (!json_is_object(tokens) && !json_is_array(tokens))
        return gv_wrong(g, "the model has no 'vocab'");
    g->n = count_tokens(g, tokens, added);
    TRY(mem_try(g->n, sizeof *g->token, "tokens", &p, g->err));
    g->token = p;
    TRY(take_model(g, tokens));
    TRY(check_merges(g));
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

/* ---- added tokens that take the spaces behind them ----
 *
 * GGUF has no word for them. Readers do so by the model's name: where it has "phi-3" or "phi3" in it, all special tokens but three do,
 * and a vocabulary that lacks one of these four is refused. */

static const char *const phi3_tokens[] = {"<unk>", "<s>", "<|endoftext|>", "</s>"};

static size_t find_phi3(struct str name)
{
    for (size_t i = 0; i + 4 <= name.n; i++)
        if (strncasecmp(name.p + i, "phi3", 4) == 0 ||
            (i + 5 <= name.n && strncasecmp(name.p + i, "phi-3", 5) == 0))
            return i;
    return SIZE_MAX;
}

static bool strips_as_phi3(const struct gv *g)
{
    int n_found = 0;
    bool same = true;
    for (size_t i = 0; i < g->n; i++) {
        const struct gv_token *t = &g->token[i];
        bool strips = t->type == GV_CONTROL || t->type == GV_USER || t->type == GV_UNKNOWN;
        for (int k = 0; k < 4; k++)
            if (str_is(t->text, phi3_tokens[k])) {
                n_found++;
                strips = strips && k == 3;
            }
        same = same && strips == t->rstrip;
    }
    return same && n_found == 4;
}

void gv_strips(struct gv *g)
{
    struct mf_meta *m = NULL;
    for (uint64_t i = 0; i < g->f->n_meta; i++)
        if (str_is(g->f->meta[i].key, "general.name") && g->f->meta[i].kind == MF_STR)
            m = &g->f->meta[i];
    struct str name = m ? mf_meta_str(m) : (struct str){0};
    size_t at = find_phi3(name);
    if (at != SIZE_MAX && strips_as_phi3(g))
        return;
    for (size_t i = 0; i < g->n; i++)
        if (g->token[i].rstrip)
            gv_differs(g, "'%.40s' is found with rstrip, which GGUF has no word for", g->token[i].text.p);
    if (at == SIZE_MAX)
        return;
    char *text = arena_alloc(&g->f->arena, name.n + 2); /* "phi 3" */
    size_t skip = name.p[at + 3] == '-';
    memcpy(text, name.p, at + 3);
    text[at + 3] = ' ';
    memcpy(text + at + 4, name.p + at + 3 + skip, name.n - at - 3 - skip);
    m->data = text;
    m->n_bytes = name.n + 1 - skip;
    m->plain = true;
}
