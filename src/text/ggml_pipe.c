/* The vocabularies of GGUF that are pipelines: SentencePiece's Unigram ("t5") and WordPiece ("bert").
 *
 * A row has the steps as tokenizer.json would say them; tokens, scores and what the keys decide come from the file. WordPiece
 * tokens are stored with U+2581 where a word begins and bare where it goes on: here they are bare and with "##". */
#include "base/mem.h"
#include "text/pipe.h"

#define MARK "\xe2\x96\x81"

static const struct ggml_row {
    const char *model, *config;
    int32_t bos, eos, unk;
    bool add_bos, add_eos, spm;
} rows[] = {
    {"t5",
     "{\"model\": {\"type\": \"Unigram\"}, \"decoder\": {\"type\": \"Sequence\", \"decoders\": ["
     "{\"type\": \"Replace\", \"pattern\": {\"String\": \"" MARK "\"}, \"content\": \" \"},"
     "{\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"},"
     "{\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]}}",
     -1, 1, 2, false, true, true},
    {"bert",
     "{\"model\": {\"type\": \"WordPiece\"}, \"normalizer\": {\"type\": \"BertNormalizer\"},"
     "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, \"decoder\": {\"type\": \"WordPiece\"}}",
     101, 102, 100, true, true, false},
};

bool ggml_pipe_defaults(struct str model, vocab *v)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_is(model, rows[i].model)) {
            v->bos = rows[i].bos;
            v->eos = rows[i].eos;
            v->unk = rows[i].unk;
            v->add_bos = rows[i].add_bos;
            v->add_eos = rows[i].add_eos;
            return true;
        }
    return false;
}

static int types_of_file(const struct model_file *f, const vocab *v, size_t n, uint8_t *type,
                         struct lathe_err *err)
{
    int32_t *value;
    uint64_t n_value;
    TRY(mf_i32s(f, "tokenizer.ggml.token_type", &value, &n_value, err));
    int rc = 0;
    if (value && n_value != n)
        rc = err_set(err, LATHE_E_FILE, "tokenizer.ggml.token_type has %llu values for %zu tokens",
                     (unsigned long long)n_value, n);
    for (size_t i = 0; i < n && !rc; i++) {
        int32_t id = (int32_t)i, t = id == v->bos || id == v->eos ? TOKEN_CONTROL : TOKEN_NORMAL;
        t = value ? value[i] : id == v->unk ? TOKEN_UNKNOWN : t;
        if (t < 0 || t > TOKEN_BYTE)
            rc = err_set(err, LATHE_E_FILE, "tokenizer.ggml.token_type of token %zu is %d, not 0 to 6", i, t);
        type[i] = (uint8_t)t;
    }
    free(value);
    return rc;
}

/* "word" and "##inner" for "<mark>word" and "inner"; what stands in brackets is as it is. In `text`, which has room. */
static void wordpiece_spelling(struct str *token, size_t n, char *text)
{
    for (size_t i = 0; i < n; i++) {
        struct str s = token[i];
        bool begins = s.n >= 3 && memcmp(s.p, MARK, 3) == 0;
        bool bracketed = s.n >= 3 && s.p[0] == '[' && s.p[s.n - 1] == ']';
        size_t skip = begins ? 3 : 0, put = begins || bracketed || !s.n ? 0 : 2;
        memcpy(text, "##", put);
        if (s.n > skip)
            memcpy(text + put, s.p + skip, s.n - skip);
        token[i] = (struct str){text, put + s.n - skip};
        text += token[i].n;
    }
}

static int scores_of_file(const struct model_file *f, vocab *v, size_t n, struct lathe_err *err)
{
    float *score;
    uint64_t n_score;
    void *p;
    TRY(mf_f32s(f, "tokenizer.ggml.scores", &score, &n_score, err));
    int rc = 0;
    if (n_score != n)
        rc = err_set(err, LATHE_E_FILE, "tokenizer.ggml.scores has %llu values for %zu tokens",
                     (unsigned long long)n_score, n);
    if (!rc)
        rc = mem_try(n, sizeof *v->score, "scores", &p, err);
    for (size_t i = 0; i < n && !rc; i++) {
        if (i == 0)
            v->score = p;
        v->score[i] = (double)score[i];
        if (!(score[i] > -1e30f && score[i] < 1e30f))
            rc = err_set(err, LATHE_E_FILE, "tokenizer.ggml.scores of token %zu is %g", i, (double)score[i]);
    }
    free(score);
    return rc;
}

static int tokens_build(vocab *v, const struct model_file *f, const struct ggml_row *row, struct str *token,
                        size_t n, struct lathe_err *err)
{
    void *type = NULL, *text = NULL;
    uint64_t n_bytes = 1;
    int rc;
    for (size_t i = 0; i < n; i++)
        n_bytes += token[i].n + 2;
    TRY_GOTO(mem_try(n, 2, "token types", &type, err));
    uint8_t *flags = (uint8_t *)type + n;
    TRY_GOTO(types_of_file(f, v, n, type, err));
    for (size_t i = 0; i < n; i++)
        flags[i] = ((uint8_t *)type)[i] <= TOKEN_NORMAL ? TOKEN_MODEL : 0;
    if (row->spm) {
        TRY_GOTO(scores_of_file(f, v, n, err));
    } else {
        TRY_GOTO(mem_try(n_bytes, 1, "token text", &text, err));
        wordpiece_spelling(token, n, text);
    }
    TRY_GOTO(pipe_tokens(v, token, type, flags, n, err));
    rc = word_model_tables(v, NULL, &v->pipe->model, err);
    for (int32_t i = 0; i < v->n && !rc; i++)
        if (v->type[i] == TOKEN_BYTE && byte_spelling(vocab_raw(v, i)) >= 0)
            v->byte_id[byte_spelling(vocab_raw(v, i))] = i;
done:
    free(type);
    free(text);
    return rc;
}

static int tables_of_file(vocab *v, const struct model_file *f, const struct ggml_row *row,
                          struct lathe_err *err)
{
    struct str *token;
    uint64_t n;
    TRY(mf_strs(f, "tokenizer.ggml.tokens", &token, &n, err));
    int rc;
    if (!n || n > VOCAB_LIMIT)
        rc = err_set(err, LATHE_E_FILE, "tokenizer.ggml.tokens has %llu tokens, not 1 to %d",
                     (unsigned long long)n, VOCAB_LIMIT);
    else
        rc = tokens_build(v, f, row, token, n, err);
    free(token);
    return rc;
}

/* Control and user-defined tokens are found in the text before anything else is done to it. */
static int added_of_types(vocab *v, struct lathe_err *err)
{
    struct added *a = &v->pipe->added;
    size_t n = 0;
    void *p;
    for (int32_t i = 0; i < v->n; i++)
        n += v->type[i] >= TOKEN_UNKNOWN && v->type[i] <= TOKEN_USER;
    TRY(mem_try(n, sizeof *a->token, "special tokens", &p, err));
    a->token = p;
    for (int32_t i = 0; i < v->n && (size_t)a->n < n; i++)
        if (v->type[i] >= TOKEN_UNKNOWN && v->type[i] <= TOKEN_USER && vocab_raw(v, i).n)
            a->token[a->n++] = (struct added_token){
                .text = step_dup(vocab_raw(v, i)), .id = i, .special = v->type[i] != TOKEN_USER};
    return added_build(a, &v->pipe->norms, err);
}

static int keys_of_file(vocab *v, const struct model_file *f, const struct ggml_row *row,
                        struct lathe_err *err)
{
    struct pipeline *p = v->pipe;
    bool merge = false, prefix = row->spm, suffix = false;
    const struct mf_meta *map = model_file_find(f, "tokenizer.ggml.precompiled_charsmap");
    TRY(mf_bool(f, "tokenizer.ggml.remove_extra_whitespaces", &merge, NULL, err));
    TRY(mf_bool(f, "tokenizer.ggml.add_space_prefix", &prefix, NULL, err));
    TRY(mf_bool(f, "tokenizer.ggml.treat_whitespace_as_suffix", &suffix, NULL, err));
    if (suffix)
        return err_set(err, LATHE_E_UNSUPPORTED,
                       "tokenizer.ggml.treat_whitespace_as_suffix is true, which is not supported");
    if (!row->spm) {
        struct norm *n = &p->norms.step[0];
        TRY(mf_bool(f, "tokenizer.ggml.normalizer.lowercase", &n->lower, NULL, err));
        n->accents = n->lower;
        return mf_bool(f, "tokenizer.ggml.normalizer.strip_accents", &n->accents, NULL, err);
    }
    if (map && (map->kind != MF_ARRAY || (map->elem != MF_U8 && map->elem != MF_I8)))
        return err_set(err, LATHE_E_FILE, "tokenizer.ggml.precompiled_charsmap is no array of bytes");
    struct str bytes = map ? (struct str){map->data, map->n} : (struct str){"", 0};
    return norms_of_spm(&p->norms, bytes, prefix, merge, err);
}

static int post_of_keys(vocab *v, const struct ggml_row *row)
{
    struct post *p = &v->pipe->post;
    p->present = true;
    p->before = mem_new(sizeof *p->before);
    p->after = mem_new(sizeof *p->after);
    p->before[0] = v->bos;
    p->after[0] = v->eos;
    p->n_before = v->add_bos && v->bos >= 0;
    p->n_after = v->add_eos && v->eos >= 0;
    p->pairs = !row->spm;
    return 0;
}

int ggml_pipe_load(vocab *v, const struct model_file *f, bool tables, struct lathe_err *err)
{
    const struct ggml_row *row = rows;
    struct str model = {0};
    struct pipeline *p = v->pipe = mem_new(sizeof *p);
    TRY(mf_str(f, "tokenizer.ggml.model", &model, NULL, err));
    while (!str_is(model, row->model))
        row++;
    json_t *root = json_loads(row->config, 0, NULL);
    int rc = steps_of_json(v, root, err);
    json_decref(root);
    TRY(rc);
    free((void *)p->model.unk.p);
    p->model.unk = (struct str){0}; /* the file has its id */
    TRY(keys_of_file(v, f, row, err));
    if (tables)
        TRY(tables_of_file(v, f, row, err));
    for (int b = 0; b < 256; b++)
        p->model.byte_fallback = p->model.byte_fallback || (row->spm && v->byte_id[b] >= 0);
    p->keeps_bytes = p->model.byte_fallback;
    TRY(added_of_types(v, err));
    p->model.unk_id = row->spm ? v->unk : -1;
    TRY(word_model_finish(v, &p->model, err));
    p->model.unk_id = v->unk;
    if (tables)
        TRY(pipe_pieces(v, err));
    return post_of_keys(v, row);
}
