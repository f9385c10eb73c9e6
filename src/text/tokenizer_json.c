/* Hugging Face's tokenizer.json: a pipeline's steps, its model with the vocabulary, and the added tokens.
 *
 * What a file has that is not known here is refused by name. `truncation` and `padding` are for batches of one shape: they are
 * read over, since a text is never cut or filled here. Loading keeps the file without the vocabulary and the merges, which
 * become tables, as `config`: with tables from an index it is all that is needed. */
#include "base/mem.h"
#include "text/pipe.h"

struct table { /* tokens by id */
    struct str *token;
    uint8_t *type, *flags;
    size_t n;
};

static int table_room(struct table *t, size_t n, struct lathe_err *err)
{
    void *p;
    TRY(mem_try(n, sizeof *t->token, "tokens", &p, err));
    t->token = p;
    TRY(mem_try(2 * n, 1, "tokens", &p, err));
    t->type = p;
    t->flags = t->type + n;
    memset(t->type, TOKEN_UNUSED, n);
    t->n = n;
    return 0;
}

static int table_put(struct table *t, struct str s, int64_t id, struct lathe_err *err)
{
    if (id < 0 || (uint64_t)id >= t->n)
        return err_set(err, LATHE_E_FILE, "token '" STR_FMT "' has the id %lld, expected 0 to %zu",
                       STR_ARG(s), (long long)id, t->n - 1);
    if (t->token[id].p)
        return err_set(err, LATHE_E_FILE, "tokens '" STR_FMT "' and '" STR_FMT "' both have the id %lld",
                       STR_ARG(t->token[id]), STR_ARG(s), (long long)id);
    t->token[id] = s;
    t->type[id] = TOKEN_NORMAL;
    return 0;
}

/* One more than the largest id. Ids may have gaps, but not so many that the table is mostly empty. */
static int table_size(const json_t *tokens, const struct added *added, size_t *out, struct lathe_err *err)
{
    const char *key;
    json_t *value;
    size_t count = (json_is_array(tokens) ? json_array_size(tokens) : json_object_size(tokens));
    int64_t n = json_is_array(tokens) ? (int64_t)count : 0;
    json_object_foreach((json_t *)tokens, key, value)
    {
        int64_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= VOCAB_LIMIT)
            return err_set(err, LATHE_E_FILE, "token '%.60s' of the model has no id from 0 to %d", key,
                           VOCAB_LIMIT - 1);
        n = id >= n ? id + 1 : n;
    }
    for (int i = 0; i < added->n; i++)
        n = added->token[i].id >= n ? added->token[i].id + 1 : n;
    count += (size_t)added->n;
    if (!n || n > VOCAB_LIMIT || (uint64_t)n > 8 * (uint64_t)count + 65536)
        return err_set(err, LATHE_E_FILE, "%zu tokens have ids up to %lld", count, (long long)n - 1);
    *out = (size_t)n;
    return 0;
}

static int table_scored(struct table *t, const json_t *list, vocab *v, struct lathe_err *err)
{
    void *p;
    TRY(mem_try(t->n, sizeof *v->score, "scores", &p, err));
    v->score = p;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i), *text = json_array_get(pair, 0),
                     *score = json_array_get(pair, 1);
        if (!json_is_string(text) || !json_is_number(score))
            return err_set(err, LATHE_E_FILE, "token %zu of the model is no pair of a text and a score", i);
        v->score[i] = json_number_value(score);
        TRY(table_put(t, (struct str){json_string_value(text), json_string_length(text)}, (int64_t)i, err));
        t->flags[i] = TOKEN_MODEL;
    }
    return 0;
}

static int table_fill(struct table *t, const json_t *tokens, const struct added *added, vocab *v,
                      struct lathe_err *err)
{
    const char *key;
    size_t n_key;
    json_t *value;
    if (json_is_array(tokens))
        TRY(table_scored(t, tokens, v, err));
    json_object_keylen_foreach((json_t *)tokens, key, n_key, value)
    {
        TRY(table_put(t, (struct str){key, n_key}, json_integer_value(value), err));
        t->flags[json_integer_value(value)] = TOKEN_MODEL;
    }
    for (int i = 0; i < added->n; i++) {
        const struct added_token *a = &added->token[i];
        if (!t->token[a->id].p)
            TRY(table_put(t, a->text, a->id, err));
        else if (!str_eq(t->token[a->id], a->text))
            return err_set(err, LATHE_E_FILE,
                           "added token '" STR_FMT "' has the id %d, which is '" STR_FMT "'",
                           STR_ARG(a->text), a->id, STR_ARG(t->token[a->id]));
        t->type[a->id] = a->special ? TOKEN_CONTROL : TOKEN_USER;
    }
    return 0;
}

int pipe_tokens(vocab *v, const struct str *token, const uint8_t *type, const uint8_t *flags, size_t n,
                struct lathe_err *err)
{
    uint64_t n_bytes = 0;
    void *p;
    for (size_t i = 0; i < n; i++)
        n_bytes += token[i].n;
    if (n_bytes > UINT32_MAX / 2)
        return err_set(err, LATHE_E_FILE, "the tokens have %llu bytes of text", (unsigned long long)n_bytes);
    TRY(mem_try(n_bytes + 1, 1, "token text", &p, err));
    v->blob = p;
    TRY(mem_try(n + 1, sizeof *v->off, "token table", &p, err));
    v->off = p;
    TRY(mem_try(n, 2, "token types", &p, err));
    v->type = p;
    v->flags = v->type + n;
    v->n = (int)n;
    memcpy(v->type, type, n);
    memcpy(v->flags, flags, n);
    for (size_t i = 0; i < n; i++) {
        if (token[i].n)
            memcpy(v->blob + v->off[i], token[i].p, token[i].n);
        v->off[i + 1] = v->off[i] + (uint32_t)token[i].n;
        v->max_len = token[i].n > v->max_len ? (uint32_t)token[i].n : v->max_len;
    }
    v->n_blob = v->off[n];
    return vocab_words_load(v, err);
}

static int tables_of_json(vocab *v, const json_t *model, struct lathe_err *err)
{
    const json_t *tokens = json_object_get(model, "vocab");
    struct pipeline *p = v->pipe;
    struct table t = {0};
    size_t n = 0;
    if (!json_is_object(tokens) && !json_is_array(tokens))
        return err_set(err, LATHE_E_FILE, "the model has no 'vocab'");
    TRY(table_size(tokens, &p->added, &n, err));
    int rc;
    TRY_GOTO(table_room(&t, n, err));
    TRY_GOTO(table_fill(&t, tokens, &p->added, v, err));
    TRY_GOTO(pipe_tokens(v, t.token, t.type, t.flags, t.n, err));
    rc = word_model_tables(v, model, &p->model, err);
done:
    free(t.token);
    free(t.type);
    return rc;
}

int steps_of_json(vocab *v, const json_t *root, struct lathe_err *err)
{
    struct pipeline *p = v->pipe;
    const json_t *version = json_object_get(root, "version");
    if (version && !(json_is_string(version) && strcmp(json_string_value(version), "1.0") == 0))
        return err_set(err, LATHE_E_UNSUPPORTED, "tokenizer.json: its version is not \"1.0\"");
    TRY(step_keys(
        root, "tokenizer.json",
        "version truncation padding added_tokens normalizer pre_tokenizer post_processor decoder model",
        err));
    TRY(norms_of_json(json_object_get(root, "normalizer"), &p->norms, err));
    TRY(pres_of_json(json_object_get(root, "pre_tokenizer"), &p->pres, err));
    TRY(decs_of_json(json_object_get(root, "decoder"), &p->decs, err));
    TRY(word_model_of_json(json_object_get(root, "model"), &p->model, err));
    TRY(added_of_json(json_object_get(root, "added_tokens"), &p->added, err));
    p->keeps_bytes = p->pres.bytes || p->norms.bytes || p->model.byte_fallback;
    return 0;
}

/* Every added token's id is one of the vocabulary: tables that are there were kept beside the same config, but may hold anything. */
static int added_check(const vocab *v, struct lathe_err *err)
{
    for (int i = 0; i < v->pipe->added.n; i++)
        if (v->pipe->added.token[i].id >= v->n)
            return err_set(err, LATHE_E_FILE, "added token '" STR_FMT "' has the id %d of %d",
                           STR_ARG(v->pipe->added.token[i].text), v->pipe->added.token[i].id, v->n);
    return 0;
}

static int config_keep(struct pipeline *p, json_t *root, struct lathe_err *err)
{
    json_t *model = json_object_get(root, "model");
    json_object_del(model, "vocab");
    json_object_del(model, "merges");
    if (!json_object_get(model, "type"))
        json_object_set_new(model, "type", json_string(word_model_name(&p->model)));
    p->config = json_dumps(root, JSON_COMPACT);
    p->n_config = p->config ? strlen(p->config) : 0;
    return p->config ? 0 : err_set(err, LATHE_E_NOMEM, "no memory for the tokenizer's configuration");
}

int tokenizer_json_load(vocab *v, struct str json, bool tables, struct lathe_err *err)
{
    json_error_t why;
    json_t *root = json_loadb(json.p, json.n, JSON_ALLOW_NUL, &why);
    struct pipeline *p = v->pipe = mem_new(sizeof *p);
    int rc;
    if (!json_is_object(root)) {
        rc = err_set(err, LATHE_E_FILE, "tokenizer.json: line %d: %s", root ? 1 : why.line,
                     root ? "it is no JSON object" : why.text);
        goto done;
    }
    TRY_GOTO(steps_of_json(v, root, err));
    TRY_GOTO(added_build(&p->added, &p->norms, err));
    if (tables) {
        TRY_GOTO(tables_of_json(v, json_object_get(root, "model"), err));
        TRY_GOTO(config_keep(p, root, err));
    }
    TRY_GOTO(added_check(v, err));
    TRY_GOTO(word_model_finish(v, &p->model, err));
    TRY_GOTO(post_of_json(json_object_get(root, "post_processor"), v, &p->post, err));
    if (tables)
        rc = pipe_pieces(v, err);
done:
    json_decref(root);
    return rc;
}
