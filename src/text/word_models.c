/* Models: the table of their kinds, and the words that were seen before. */
#include "base/mem.h"
#include "text/pipe.h"

struct word_model_kind {
    const char *name, *keys;
    bool caches;              /* worth remembering words for */
    bool pairs, trie, scores; /* tables that it has */
    int (*parse)(struct word_model *m, const json_t *j, struct lathe_err *err);
    int (*tables)(vocab *v, const json_t *j, struct word_model *m, struct lathe_err *err);
    int (*finish)(vocab *v, struct word_model *m, struct lathe_err *err);
    int (*encode)(struct walk *w, struct str word);
};

/* ---- BPE ---- */

static int parse_texts(struct word_model *m, const json_t *j, struct lathe_err *err)
{
    struct str unk = {0}, prefix = {0}, suffix = {0};
    TRY(step_str(j, "model", "unk_token", &unk, err));
    TRY(step_str(j, "model", "continuing_subword_prefix", &prefix, err));
    TRY(step_str(j, "model", "end_of_word_suffix", &suffix, err));
    m->unk = step_dup(unk);
    m->prefix = step_dup(prefix);
    m->suffix = step_dup(suffix);
    return 0;
}

static int parse_bpe(struct word_model *m, const json_t *j, struct lathe_err *err)
{
    const json_t *dropout = json_object_get(j, "dropout");
    TRY(parse_texts(m, j, err));
    TRY(step_bool(j, "model BPE", "fuse_unk", &m->fuse_unk, err));
    TRY(step_bool(j, "model BPE", "byte_fallback", &m->byte_fallback, err));
    TRY(step_bool(j, "model BPE", "ignore_merges", &m->ignore_merges, err));
    if (dropout && !json_is_null(dropout) && !(json_is_number(dropout) && json_number_value(dropout) == 0))
        return err_set(err, LATHE_E_UNSUPPORTED,
                       "model BPE: dropout is not supported: ids would differ from one time to the next");
    return 0;
}

static int merge_parts(const json_t *j, size_t i, struct str *left, struct str *right, struct lathe_err *err)
{
    const json_t *a = json_array_get(j, 0), *b = json_array_get(j, 1);
    if (json_is_string(j)) {
        struct str s = {json_string_value(j), json_string_length(j)};
        const char *space = memchr(s.p, ' ', s.n);
        size_t n = space ? (size_t)(space - s.p) : 0;
        if (!n || n + 1 == s.n || memchr(space + 1, ' ', s.n - n - 1))
            return err_set(err, LATHE_E_FILE,
                           "model BPE: merge %zu is '" STR_FMT "', not two texts and a space", i, STR_ARG(s));
        *left = (struct str){s.p, n};
        *right = (struct str){space + 1, s.n - n - 1};
        return 0;
    }
    if (json_array_size(j) != 2 || !json_is_string(a) || !json_is_string(b))
        return err_set(err, LATHE_E_FILE, "model BPE: merge %zu is no pair of texts", i);
    *left = (struct str){json_string_value(a), json_string_length(a)};
    *right = (struct str){json_string_value(b), json_string_length(b)};
    return 0;
}

static int merge_add(vocab *v, const struct word_model *m, const json_t *j, size_t i, struct out *whole,
                     struct lathe_err *err)
{
    struct str part[2];
    int32_t id[3];
    TRY(merge_parts(j, i, &part[0], &part[1], err));
    size_t skip = m->prefix.n && part[1].n >= m->prefix.n ? m->prefix.n : 0;
    whole->n = 0;
    out_put(whole, part[0].p, part[0].n);
    out_put(whole, part[1].p + skip, part[1].n - skip);
    struct str text[3] = {part[0], part[1], out_str(whole)};
    for (int k = 0; k < 3; k++) {
        id[k] = text[k].n ? vocab_word(v, text[k].p, text[k].n) : -1;
        if (id[k] < 0)
            return err_set(err, LATHE_E_FILE,
                           "model BPE: merge %zu needs the token '" STR_FMT
                           "', which the vocabulary does not have",
                           i, STR_ARG(text[k]));
    }
    bpe_pair_put(v, id[0], id[1], (uint32_t)i, id[2]);
    return 0;
}

static int tables_bpe(vocab *v, const json_t *j, struct word_model *m, struct lathe_err *err)
{
    const json_t *merges = json_object_get(j, "merges");
    struct out whole = {0};
    if (!json_is_array(merges) || json_array_size(merges) > VOCAB_LIMIT)
        return err_set(err, LATHE_E_FILE, "model BPE: 'merges' is no list of at most %d pairs", VOCAB_LIMIT);
    TRY(bpe_pairs_new(v, json_array_size(merges), err));
    int rc = 0;
    for (size_t i = json_array_size(merges); !rc && i-- > 0;) /* of two equal merges the last counts */
        rc = merge_add(v, m, json_array_get(merges, i), i, &whole, err);
    free(whole.p);
    v->space_begins = vocab_word(v, "\xe2\x96\x81", 3) >= 0;
    for (int32_t i = 0; i < v->n && v->space_begins; i++) {
        struct str s = v->flags[i] & TOKEN_MODEL ? vocab_raw(v, i) : (struct str){0};
        for (size_t k = 3; k + 3 <= s.n; k++)
            if (memcmp(s.p + k, "\xe2\x96\x81", 3) == 0 && memcmp(s.p + k - 3, "\xe2\x96\x81", 3) != 0)
                v->space_begins = false;
        if (s.n > 3 && memmem(s.p, s.n < 5 ? s.n : 5, "\xe2\x96\x81", 3) &&
            memcmp(s.p, "\xe2\x96\x81", 3) != 0)
            v->space_begins = false; /* behind one or two bytes */
    }
    return rc;
}

static int finish_unk(vocab *v, struct word_model *m, struct lathe_err *err)
{
    m->unk_id = m->unk.n ? vocab_word(v, m->unk.p, m->unk.n) : -1;
    if (m->unk.n && m->unk_id < 0)
        return err_set(err, LATHE_E_FILE, "model %s: its unk_token '" STR_FMT "' is not in the vocabulary",
                       m->kind->name, STR_ARG(m->unk));
    return 0;
}

/* ---- Unigram ---- */

static int parse_unigram(struct word_model *m, const json_t *j, struct lathe_err *err)
{
    int64_t unk = -1;
    TRY(step_int(j, "model Unigram", "unk_id", 0, VOCAB_LIMIT, &unk, err));
    m->unk_id = (int32_t)unk;
    m->fuse_unk = true;
    return step_bool(j, "model Unigram", "byte_fallback", &m->byte_fallback, err);
}

static int tables_trie(vocab *v, const json_t *j, struct word_model *m, struct lathe_err *err)
{
    void *p;
    TRY(mem_try((size_t)v->n, sizeof(struct str), "tokens", &p, err));
    struct str *token = p;
    for (int32_t i = 0; i < v->n; i++)
        token[i] = v->flags[i] & TOKEN_MODEL ? vocab_raw(v, i) : (struct str){0};
    int rc = trie_build(&v->trie, token, v->n, err);
    free(token);
    return rc;
}

static int finish_unigram(vocab *v, struct word_model *m, struct lathe_err *err)
{
    double least = 0;
    bool any = false;
    for (int32_t i = 0; i < v->n; i++)
        if (v->flags[i] & TOKEN_MODEL && (!any || v->score[i] < least)) {
            least = v->score[i];
            any = true;
        }
    m->unk_score = least - 10;
    if (m->unk_id >= v->n)
        return err_set(err, LATHE_E_FILE, "model Unigram: unk_id is %d, but there are %d tokens", m->unk_id,
                       v->n);
    return 0;
}

/* ---- WordPiece, WordLevel ---- */

static int parse_wordpiece(struct word_model *m, const json_t *j, struct lathe_err *err)
{
    TRY(parse_texts(m, j, err));
    m->max_chars = 100;
    if (!m->unk.n) {
        free((void *)m->unk.p);
        m->unk = step_dup(STR("[UNK]"));
    }
    if (!m->prefix.n && !json_object_get(j, "continuing_subword_prefix")) {
        free((void *)m->prefix.p);
        m->prefix = step_dup(STR("##"));
    }
    return step_int(j, "model WordPiece", "max_input_chars_per_word", 0, INT64_MAX, &m->max_chars, err);
}

static int wordlevel_encode(struct walk *w, struct str word)
{
    int32_t id = vocab_word(w->v, word.p, word.n);
    id = id < 0 ? w->p->model.unk_id : id;
    if (id < 0)
        return err_set(w->err, LATHE_E_FILE, "the vocabulary has no unknown token for the word '" STR_FMT "'",
                       STR_ARG(word));
    ids_push(w->out, id);
    return 0;
}

static const struct word_model_kind kinds[] = {
    {"BPE",
     "vocab merges dropout unk_token continuing_subword_prefix end_of_word_suffix fuse_unk byte_fallback "
     "ignore_merges",
     true, true, false, false, parse_bpe, tables_bpe, finish_unk, bpe_chars_encode},
    {"Unigram", "vocab unk_id byte_fallback", true, false, true, true, parse_unigram, tables_trie,
     finish_unigram, unigram_encode},
    {"WordPiece", "vocab unk_token continuing_subword_prefix max_input_chars_per_word", true, false, true,
     false, parse_wordpiece, tables_trie, finish_unk, wordpiece_encode},
    {"WordLevel", "vocab unk_token", false, false, false, false, parse_texts, NULL, finish_unk,
     wordlevel_encode},
};

/* Old files have no type: their keys tell. */
static const char *type_of(const json_t *j)
{
    const json_t *type = json_object_get(j, "type");
    if (json_is_string(type))
        return json_string_value(type);
    if (json_object_get(j, "merges"))
        return "BPE";
    if (json_is_array(json_object_get(j, "vocab")))
        return "Unigram";
    return json_object_get(j, "continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

int word_model_of_json(const json_t *j, struct word_model *m, struct lathe_err *err)
{
    if (!json_is_object(j))
        return err_set(err, LATHE_E_FILE, "the tokenizer has no model");
    const char *type = type_of(j);
    m->unk_id = -1;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, type) == 0)
            m->kind = &kinds[i];
    if (!m->kind)
        return err_set(err, LATHE_E_UNSUPPORTED,
                       "model '%.60s' is not supported (BPE, Unigram, WordPiece and WordLevel are)", type);
    TRY(step_keys(j, "model", m->kind->keys, err));
    m->caches = m->kind->caches;
    return m->kind->parse(m, j, err);
}

int word_model_tables(vocab *v, const json_t *j, struct word_model *m, struct lathe_err *err)
{
    for (int b = 0; b < 256; b++) {
        char spelling[8];
        snprintf(spelling, sizeof spelling, "<0x%02X>", b);
        v->byte_id[b] = vocab_word(v, spelling, 6);
    }
    return m->kind->tables ? m->kind->tables(v, j, m, err) : 0;
}

int word_model_finish(vocab *v, struct word_model *m, struct lathe_err *err)
{
    bool there =
        (!m->kind->pairs || v->pair) && (!m->kind->trie || v->trie.n) && (!m->kind->scores || v->score);
    if (!there) /* an index of another kind of model */
        return err_set(err, LATHE_E_FILE, "the tables of the model %s are not there", m->kind->name);
    return m->kind->finish(v, m, err);
}

const char *word_model_name(const struct word_model *m)
{
    return m->kind->name;
}

void word_model_free(struct word_model *m)
{
    free((void *)m->unk.p);
    free((void *)m->prefix.p);
    free((void *)m->suffix.p);
}

/* ---- words ---- */

int walk_scratch(struct walk *w, size_t n, size_t size, void **out)
{
    if (n * size > w->n_scratch) {
        free(w->scratch);
        w->scratch = NULL;
        w->n_scratch = 0;
        TRY(mem_try(n, size, "work on a long word", &w->scratch, w->err));
        w->n_scratch = n * size;
    }
    *out = w->scratch;
    return 0;
}

int word_encode(struct walk *w, struct str word)
{
    struct seen_word *seen = NULL;
    if (w->seen && word.n <= sizeof seen->p) {
        seen = &w->seen[word_hash(word.p, word.n) >> (64 - SEEN_WORD_BITS)];
        if (seen->n == word.n && memcmp(seen->p, word.p, word.n) == 0) {
            for (uint32_t i = 0; i < seen->n_id; i++)
                ids_push(w->out, w->out->p[seen->at + i]);
            return 0;
        }
    }
    size_t at = w->out->n;
    TRY(w->p->model.kind->encode(w, word));
    if (seen) {
        seen->n = (uint8_t)word.n;
        memcpy(seen->p, word.p, word.n);
        seen->n_id = (uint32_t)(w->out->n - at);
        seen->at = at;
    }
    return 0;
}
