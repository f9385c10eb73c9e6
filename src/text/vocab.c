/* The vocabulary: loading, lookup, and cutting a text into special tokens and plain stretches. */
#include "text/vocab.h"
#include "base/mem.h"
#include "text/pipe.h"
#include <stdlib.h>

void ids_push(struct ids *a, int32_t id)
{
    if (a->n == a->cap) {
        a->cap = a->cap ? a->cap * 2 : 64;
        a->p = mem_grow(a->p, a->cap * sizeof *a->p);
    }
    a->p[a->n++] = id;
}

/* Whether these are the bytes of a token: vocab_raw and a comparison in one, for the search that a quarter of
 * SentencePiece's encoding is. An end before the beginning wraps to a length that no text has. */
static inline bool raw_is(const vocab *v, uint32_t id, const char *p, size_t n)
{
    if (id >= (uint32_t)v->n)
        return false;
    size_t from = v->off[id], to = v->off[id + 1];
    return to - from == n && to <= v->n_blob && memcmp(v->blob + from, p, n) == 0;
}

int32_t vocab_word_at(const vocab *v, const char *p, size_t n, uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    uint32_t first = (uint32_t)hash & v->word_mask, i = first;
    while (v->word[i].id_1) {
        if (v->word[i].tag == tag) {
            uint32_t id = (uint32_t)v->word[i].id_1 - 1;
            if (raw_is(v, id, p, n))
                return (int32_t)id;
        }
        i = (i + 1) & v->word_mask;
        if (i == first)
            break;
    }
    return -1;
}

static void word_put(vocab *v, int32_t id, uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash >> 32), i = (uint32_t)hash & v->word_mask;
    for (; v->word[i].id_1; i = (i + 1) & v->word_mask)
        if (v->word[i].tag == tag && str_eq(vocab_raw(v, v->word[i].id_1 - 1), vocab_raw(v, id))) {
            v->has_duplicates = true; /* the last of two equal tokens counts */
            break;
        }
    v->word[i] = (struct word_slot){tag, id + 1};
}

/* Whether plain text may become this token. */
static bool is_word(const vocab *v, int32_t id)
{
    if (v->model == VOCAB_PIPE)
        return v->flags[id] & TOKEN_MODEL;
    return v->type[id] <= TOKEN_NORMAL || v->type[id] == TOKEN_USER;
}

int vocab_words_load(vocab *v, struct lathe_err *err)
{
    uint32_t size = 512;
    void *p;
    while (size < (uint32_t)v->n * 3ull / 2)
        size *= 2;
    TRY(mem_try(size, sizeof *v->word, "table of words", &p, err));
    v->word = p;
    v->word_mask = size - 1;
    enum { GROUP = 32 }; /* with prefetch, since the table is larger than the cache */
    uint64_t hash[GROUP];
    for (int32_t i = 0; i < v->n; i += GROUP) {
        int32_t end = i + GROUP < v->n ? i + GROUP : v->n;
        for (int32_t k = i; k < end; k++) {
            struct str s = vocab_raw(v, k);
            hash[k - i] = word_hash(s.p, s.n);
            __builtin_prefetch(&v->word[hash[k - i] & v->word_mask], 1);
        }
        for (int32_t k = i; k < end; k++)
            if (v->off[k + 1] > v->off[k] && is_word(v, k))
                word_put(v, k, hash[k - i]);
    }
    return 0;
}

/* ---- tokens ---- */

int byte_spelling(struct str s)
{
    int b = 0;
    if (s.n != 6 || memcmp(s.p, "<0x", 3) || s.p[5] != '>')
        return -1;
    for (int i = 3; i < 5; i++) {
        char c = s.p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        b = b * 16 + digit;
    }
    return b;
}

/* Writes the bytes that a token stands for; returns their number (at most s.n). */
static size_t token_bytes(vocab *v, int32_t id, struct str s, char *out)
{
    if (v->model == VOCAB_BPE) {
        int n = v->type[id] == TOKEN_CONTROL || v->type[id] == TOKEN_USER ? -1 : bpe_unspell(s, out);
        if (n >= 0)
            return (size_t)n;
    } else if (v->type[id] == TOKEN_BYTE) {
        int b = byte_spelling(s);
        if (b >= 0) {
            v->byte_id[b] = id;
            out[0] = (char)b;
            return 1;
        }
    } else {
        size_t n = 0;
        for (size_t i = 0; i < s.n;) {
            bool space = s.n - i >= 3 && memcmp(s.p + i, "\xe2\x96\x81", 3) == 0;
            out[n++] = space ? ' ' : s.p[i];
            i += space ? 3 : 1;
        }
        return n;
    }
    if (s.n)
        memcpy(out, s.p, s.n);
    return s.n;
}

/* Types of a file without tokenizer.ggml.token_type. */
static void types_guess(vocab *v, const struct str *token)
{
    for (int i = 0; i < v->n; i++) {
        v->type[i] = TOKEN_NORMAL;
        if (i == v->bos || i == v->eos)
            v->type[i] = TOKEN_CONTROL;
        else if (v->model == VOCAB_SPM && i == v->unk)
            v->type[i] = TOKEN_UNKNOWN;
        else if (v->model == VOCAB_SPM && byte_spelling(token[i]) >= 0)
            v->type[i] = TOKEN_BYTE;
    }
}

static int types_load(vocab *v, const struct model_file *f, const struct str *token, struct lathe_err *err)
{
    int32_t *type;
    uint64_t n;
    TRY(mf_i32s(f, "tokenizer.ggml.token_type", &type, &n, err));
    int rc = 0;
    if (!type)
        types_guess(v, token);
    else if (n != (uint64_t)v->n)
        rc = err_set(err, LATHE_E_FILE, "tokenizer.ggml.token_type has %llu values for %d tokens",
                     (unsigned long long)n, v->n);
    for (int i = 0; type && !rc && i < v->n; i++) {
        if (type[i] < 0 || type[i] > TOKEN_BYTE)
            rc = err_set(err, LATHE_E_FILE, "tokenizer.ggml.token_type of token %d is %d, not 0 to 6", i,
                         type[i]);
        v->type[i] = (uint8_t)type[i];
    }
    free(type);
    return rc;
}

static int tokens_load(vocab *v, const struct model_file *f, struct lathe_err *err)
{
    struct str *token;
    uint64_t n, n_bytes = 0;
    void *p;
    TRY(mf_strs(f, "tokenizer.ggml.tokens", &token, &n, err));
    int rc = 0;
    if (!n || n > VOCAB_LIMIT) {
        rc = err_set(err, LATHE_E_FILE, "tokenizer.ggml.tokens has %llu tokens, not 1 to %d",
                     (unsigned long long)n, VOCAB_LIMIT);
        goto done;
    }
    v->n = (int)n;
    for (uint64_t i = 0; i < n; i++)
        n_bytes += token[i].n;
    if (n_bytes > UINT32_MAX / 2) {
        rc = err_set(err, LATHE_E_FILE, "tokenizer.ggml.tokens has %llu bytes of text",
                     (unsigned long long)n_bytes);
        goto done;
    }
    TRY_GOTO(mem_try(n_bytes + 1, 1, "token text", &p, err));
    v->blob = p;
    v->n_blob = (uint32_t)n_bytes;
    TRY_GOTO(mem_try(n + 1, sizeof *v->off, "token table", &p, err));
    v->off = p;
    TRY_GOTO(mem_try(n, 2, "token types", &p, err));
    v->type = p;
    v->flags = v->type + n;
    TRY_GOTO(types_load(v, f, token, err));
    for (int32_t i = 0; i < v->n; i++) {
        size_t len = token_bytes(v, i, token[i], v->blob + v->off[i]);
        v->off[i + 1] = v->off[i] + (uint32_t)len;
        v->max_len = len > v->max_len ? (uint32_t)len : v->max_len;
    }
    v->n_blob = v->off[v->n];
    rc = vocab_words_load(v, err);
done:
    free(token);
    return rc;
}

/* ---- ids with a meaning ---- */

static const char *const id_keys[] = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
                                      "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.eot_token_id",
                                      "tokenizer.ggml.eom_token_id"};

static int id_load(const struct model_file *f, const char *key, int32_t *out, struct lathe_err *err)
{
    uint32_t id = (uint32_t)*out;
    TRY(mf_u32(f, key, &id, NULL, err));
    *out = (int32_t)id;
    return 0;
}

static int ids_check(const vocab *v, int32_t eot, int32_t eom, struct lathe_err *err)
{
    const int32_t ids[] = {v->bos, v->eos, v->unk, eot, eom};
    for (int i = 0; i < 5; i++)
        if (ids[i] != -1 && (uint32_t)ids[i] >= (uint32_t)v->n)
            return err_set(err, LATHE_E_FILE, "%s is %u, but there are %d tokens", id_keys[i],
                           (uint32_t)ids[i], v->n);
    return 0;
}

/* Spellings that end an answer in the models that have them as control tokens. A new one is a new
 * VOCAB_INDEX_VERSION. */
static const char *const eog_names[] = {
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "</s>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|endofturn|>",
    "<|eot|>",
    "<|user_end|>",
    "<turn|>",
    "<\xef\xbd\x9c"
    "end\xe2\x96\x81"
    "of\xe2\x96\x81"
    "sentence\xef\xbd\x9c>",
};

static void eog_mark(vocab *v, int32_t eot, int32_t eom)
{
    int32_t end = -1, ret = -1, call = -1;
    for (int k = 0; k < v->n_special; k++) {
        int32_t id = v->special[k];
        struct str s = vocab_raw(v, id);
        for (size_t j = 0; j < sizeof eog_names / sizeof *eog_names; j++)
            if (str_is(s, eog_names[j]))
                v->flags[id] |= TOKEN_EOG;
        end = str_is(s, "<|end|>") ? id : end;
        ret = str_is(s, "<|return|>") ? id : ret;
        call = str_is(s, "<|call|>") ? id : call;
    }
    if (end >= 0 && ret >= 0 && call >= 0) /* gpt-oss: <|end|> only ends a part of the answer */
        v->flags[end] &= (uint8_t)~TOKEN_EOG;
    const int32_t by_key[] = {v->eos, eot, eom};
    for (int i = 0; i < 3; i++)
        if (by_key[i] >= 0)
            v->flags[by_key[i]] |= TOKEN_EOG;
}

/* A Hugging Face folder lists all tokens that end an answer; GGUF has keys for three. */
static int eog_list(vocab *v, const struct model_file *f, struct lathe_err *err)
{
    int32_t *id;
    uint64_t n;
    int rc = 0;
    TRY(mf_i32s(f, "tokenizer.ggml.eog_token_ids", &id, &n, err));
    for (uint64_t i = 0; i < n && !rc; i++)
        if (id[i] < 0 || id[i] >= v->n)
            rc = err_set(err, LATHE_E_FILE, "tokenizer.ggml.eog_token_ids has %d, but there are %d tokens",
                         id[i], v->n);
        else
            v->flags[id[i]] |= TOKEN_EOG;
    free(id);
    return rc;
}

/* Phi-3's tokenizer eats the white space after a special token; its file says so nowhere but in the name. */
static int rstrip_mark(vocab *v, const struct model_file *f, struct lathe_err *err)
{
    struct str name = {0};
    TRY(mf_str(f, "general.name", &name, NULL, err));
    bool phi3 = false;
    for (size_t i = 0; i + 4 <= name.n; i++)
        phi3 = phi3 || strncasecmp(name.p + i, "phi3", 4) == 0 ||
               (i + 5 <= name.n && strncasecmp(name.p + i, "phi-3", 5) == 0);
    for (int k = 0; phi3 && k < v->n_special; k++) {
        struct str s = vocab_raw(v, v->special[k]);
        if (!str_is(s, "<unk>") && !str_is(s, "<s>") && !str_is(s, "<|endoftext|>"))
            v->flags[v->special[k]] |= TOKEN_RSTRIP;
    }
    return 0;
}

/* ---- loading ---- */

static int keys_load(vocab *v, const struct model_file *f, int32_t *eot, int32_t *eom, struct lathe_err *err)
{
    int32_t *const ids[] = {&v->bos, &v->eos, &v->unk, eot, eom};
    *eot = *eom = -1;
    if (!f)
        return 0;
    if (v->model == VOCAB_PIPE) { /* older names of what stands around a text */
        TRY(id_load(f, "tokenizer.ggml.cls_token_id", &v->bos, err));
        TRY(id_load(f, "tokenizer.ggml.seperator_token_id", &v->eos, err)); /* as files spell it */
    }
    for (int i = 0; i < 5; i++)
        TRY(id_load(f, id_keys[i], ids[i], err));
    TRY(mf_bool(f, "tokenizer.ggml.add_bos_token", &v->add_bos, NULL, err));
    TRY(mf_bool(f, "tokenizer.ggml.add_eos_token", &v->add_eos, NULL, err));
    return mf_bool(f, "tokenizer.ggml.add_space_prefix", &v->add_space_prefix, NULL, err);
}

/* The kind of vocabulary, and what it has where the file does not say. `json` is set for a tokenizer.json. */
static int model_load(vocab *v, const struct model_file *f, struct str *json, struct lathe_err *err)
{
    struct str model = {0}, pre = STR("default");
    bool has;
    TRY(mf_str(f, "tokenizer.huggingface.json", json, &has, err));
    if (has) { /* beside keys of ggml it is what they cannot say */
        v->model = VOCAB_PIPE;
        return 0;
    }
    TRY(mf_str(f, "tokenizer.ggml.model", &model, &has, err));
    if (!has)
        return err_set(err, LATHE_E_FILE,
                       "neither tokenizer.ggml.model nor tokenizer.huggingface.json is there: the file has "
                       "no vocabulary");
    if (ggml_pipe_defaults(model, v)) {
        v->model = VOCAB_PIPE;
        return 0;
    }
    if (str_is(model, "llama")) {
        v->model = VOCAB_SPM;
        v->bos = 1;
        v->eos = 2;
        v->unk = 0;
        v->add_bos = v->add_space_prefix = true;
        return 0;
    }
    if (!str_is(model, "gpt2"))
        return err_set(err, LATHE_E_UNSUPPORTED,
                       "tokenizer model '" STR_FMT "' is not supported (gpt2, llama, t5 and bert are)",
                       STR_ARG(model));
    v->model = VOCAB_BPE;
    TRY(mf_str(f, "tokenizer.ggml.pre", &pre, NULL, err));
    TRY(pretok_new(pre, &v->pre, err));
    v->add_bos = pretok_flags(v->pre) & PRE_ADD_BOS;
    v->ignore_merges = pretok_flags(v->pre) & PRE_IGNORE_MERGES;
    return 0;
}

/* What tokenizer.json says of ids that GGUF has keys for; keys that are there have the last word. */
static int json_load(vocab *v, const struct model_file *f, struct str json, bool tables,
                     struct lathe_err *err)
{
    TRY(tokenizer_json_load(v, json, tables, err));
    struct post *p = &v->pipe->post;
    if (v->bos < 0 && p->n_before)
        v->bos = p->before[0];
    if (v->eos < 0 && p->n_after)
        v->eos = p->after[p->n_after - 1];
    return 0;
}

static int tables_build(vocab *v, const struct model_file *f, int32_t eot, int32_t eom, struct lathe_err *err)
{
    if (v->model != VOCAB_PIPE) {
        TRY(tokens_load(v, f, err));
        TRY(v->model == VOCAB_SPM ? spm_load(v, f, err) : bpe_load(v, f, err));
    }
    TRY(ids_check(v, eot, eom, err));
    TRY(special_load(v, err));
    if (f)
        TRY(rstrip_mark(v, f, err));
    eog_mark(v, eot, eom);
    return f ? eog_list(v, f, err) : 0;
}

/* `index` is NULL where the tables are to be built; `f` is NULL for a tokenizer.json alone. */
static int load(const struct model_file *f, struct str json, const void *index, size_t n, vocab **out,
                struct lathe_err *err)
{
    vocab *v = mem_new(sizeof *v);
    int32_t eot, eom;
    int rc;
    *out = NULL;
    memset(v->byte_id, 0xff, sizeof v->byte_id);
    v->bos = v->eos = v->unk = -1;
    v->model = VOCAB_PIPE;
    if (f)
        TRY_GOTO(model_load(v, f, &json, err));
    TRY_GOTO(keys_load(v, f, &eot, &eom, err));
    if (index)
        TRY_GOTO(index_map(v, f, index, n, err));
    if (v->model == VOCAB_PIPE && json.p)
        TRY_GOTO(json_load(v, f, index ? v->config : json, !index, err));
    else if (v->model == VOCAB_PIPE)
        TRY_GOTO(ggml_pipe_load(v, f, !index, err));
    TRY_GOTO(index ? ids_check(v, eot, eom, err) : tables_build(v, f, eot, eom, err));
    *out = v;
    return 0;
done:
    vocab_free(v);
    return rc;
}

int vocab_load(const struct model_file *f, vocab **out, struct lathe_err *err)
{
    return load(f, (struct str){0}, NULL, 0, out, err);
}

int vocab_load_json(struct str json, vocab **out, struct lathe_err *err)
{
    return load(NULL, json, NULL, 0, out, err);
}

int vocab_load_index(const struct model_file *f, const void *index, size_t n, vocab **out,
                     struct lathe_err *err)
{
    return load(f, (struct str){0}, index, n, out, err);
}

void vocab_free(vocab *v)
{
    if (!v)
        return;
    pretok_free(v->pre);
    pipeline_free(v->pipe);
    void *const tables[] = {v->blob,       v->off,     v->type,     v->rank,       v->word,
                            v->pair,       v->special, v->score,    v->trie.first, v->trie.id,
                            v->trie.label, v->piece,   v->piece_off};
    for (size_t i = 0; !v->borrowed && i < sizeof tables / sizeof *tables; i++)
        free(tables[i]);
    model_file_free(v->owned);
    free(v);
}

/* ---- use ---- */

int vocab_size(const vocab *v)
{
    return v->n;
}

bool vocab_is_eog(const vocab *v, int32_t id)
{
    return id >= 0 && id < v->n && v->flags[id] & TOKEN_EOG;
}

struct str vocab_piece(const vocab *v, int32_t id, bool special)
{
    if (id < 0 || id >= v->n)
        return (struct str){"", 0};
    if (!special && (v->type[id] == TOKEN_CONTROL || v->type[id] == TOKEN_UNKNOWN))
        return (struct str){"", 0};
    if (v->model != VOCAB_PIPE)
        return vocab_raw(v, id);
    uint32_t from = v->piece_off[id], to = v->piece_off[id + 1];
    if (from > to || to > v->n_piece)
        return (struct str){"", 0};
    return (struct str){v->piece + from, to - from};
}

struct str vocab_spelling(const vocab *v, int32_t id)
{
    return vocab_raw(v, id);
}

int vocab_decode(const vocab *v, const int32_t *ids, size_t n, bool special, char **text, size_t *n_text,
                 struct lathe_err *err)
{
    struct out out = {0};
    int rc = 0;
    *text = NULL;
    if (v->model == VOCAB_PIPE)
        rc = pipe_decode(v, ids, n, special, &out, err);
    for (size_t i = 0; v->model != VOCAB_PIPE && i < n; i++) {
        struct str s = vocab_piece(v, ids[i], special);
        out_put(&out, s.p, s.n);
    }
    out_put(&out, "", 1);
    if (!rc)
        rc = out_check(&out, "decoding", err);
    if (rc) {
        free(out.p);
        return rc;
    }
    *text = out.p;
    *n_text = out.n - 1;
    return 0;
}

static int encode_plain(const vocab *v, const char *text, size_t n, bool first, struct ids *out,
                        struct lathe_err *err)
{
    if (n == 0)
        return 0;
    return v->model == VOCAB_SPM ? spm_encode(v, text, n, first, out, err) : bpe_encode(v, text, n, out, err);
}

void vocab_mark_add(struct vocab_marks *m, struct vocab_mark mark)
{
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 16;
        m->p = mem_grow(m->p, m->cap * sizeof *m->p);
    }
    m->p[m->n++] = mark;
}

static void push_all(struct ids *out, const int32_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        ids_push(out, ids[i]);
}

static int encode_text(const vocab *v, const char *text, size_t n, size_t from, bool control,
                       struct vocab_marks *marks, struct ids *out, struct lathe_err *err)
{
    size_t i = from;
    bool first = true; /* nothing, or a special token, is in front */
    while (i < n) {
        unsigned char c = (unsigned char)text[i];
        int32_t id = -1;
        size_t len = 0;
        if (v->special_first[c] < v->special_first[c + 1])
            id = special_match(v, text + i, n - i, control, &len);
        if (id < 0) {
            i++;
            continue;
        }
        TRY(encode_plain(v, text + from, i - from, first, out, err));
        if (marks)
            vocab_mark_add(marks, (struct vocab_mark){i, out->n});
        ids_push(out, id);
        first = true;
        i += len;
        while (v->flags[id] & TOKEN_RSTRIP && i < n && strchr(" \t\n\v\f\r", text[i]) && text[i])
            i++;
        from = i;
    }
    return encode_plain(v, text + from, n - from, first, out, err);
}

size_t vocab_longest_special(const vocab *v)
{
    size_t longest = 0;
    for (int i = 0; i < v->n_special; i++) {
        size_t n = vocab_raw(v, v->special[i]).n;
        longest = n > longest ? n : longest;
    }
    return longest;
}

int vocab_encode_from(const vocab *v, const char *text, size_t n, int flags, struct vocab_mark from,
                      const int32_t *before, struct vocab_marks *marks, int32_t **ids, size_t *n_ids,
                      struct lathe_err *err)
{
    struct ids out = {0};
    *ids = NULL;
    *n_ids = 0;
    if (n > VOCAB_TEXT_LIMIT)
        return err_set(err, LATHE_E_LIMIT, "text of %zu bytes is longer than %zu", n, VOCAB_TEXT_LIMIT);
    for (size_t i = 0; i < from.id; i++)
        ids_push(&out, before[i]);
    bool has_post = flags & LATHE_TOK_BOS && v->model == VOCAB_PIPE && v->pipe->post.present;
    const struct post *post = has_post ? &v->pipe->post : NULL;
    if (from.byte == 0 && from.id == 0) {
        if (post)
            push_all(&out, post->before, post->n_before);
        else if (flags & LATHE_TOK_BOS && v->add_bos && v->bos >= 0)
            ids_push(&out, v->bos);
    }
    int rc = v->model == VOCAB_PIPE
                 ? pipe_encode(v, text, n, from.byte, flags & LATHE_TOK_SPECIAL, marks, &out, err)
                 : encode_text(v, text, n, from.byte, flags & LATHE_TOK_SPECIAL, marks, &out, err);
    if (rc) {
        free(out.p);
        return rc;
    }
    if (post)
        push_all(&out, post->after, post->n_after);
    else if (flags & LATHE_TOK_BOS && v->add_eos && v->eos >= 0)
        ids_push(&out, v->eos);
    *ids = out.p ? out.p : mem_new(sizeof *out.p);
    *n_ids = out.n;
    return 0;
}

int vocab_encode(const vocab *v, const char *text, size_t n, int flags, int32_t **ids, size_t *n_ids,
                 struct lathe_err *err)
{
    return vocab_encode_from(v, text, n, flags, (struct vocab_mark){0}, NULL, NULL, ids, n_ids, err);
}
