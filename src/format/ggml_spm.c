/* Tokenizers of SentencePiece and BERT as ggml's "llama", "t5" and "bert".
 *
 * "llama" merges by the score of the token that comes of it, whatever two tokens it is made of; tokenizer.json has merges with an
 * order. They are the same where all pairs that make a token are merges, one behind the other: then the order of the tokens is the
 * score. What was made of a SentencePiece model is like that; what was trained as merges mostly is not. */
#include "format/ggml_vocab.h"
#include "base/base64.h"

/* ---- "llama" ---- */

static bool is_step(const json_t *j, const char *type)
{
    return strcmp(gv_step_type(j), type) == 0;
}

static bool is_mark(const char *text)
{
    return str_is(gv_mark, text);
}

/* Whether spaces become marks, and what goes in front of a text. */
static bool spaces_of_norms(struct gv *g, bool *marks)
{
    g->prefix = 0;
    for (int i = 0; i < g->norm.n; i++) {
        const json_t *j = g->norm.v[i];
        const char *type = gv_step_type(j);
        if (is_step(j, "Prepend") && is_mark(gv_text(j, "prepend")) && !*marks)
            g->prefix = 1;
        else if (is_step(j, "Replace") && strcmp(gv_pattern(j, "String"), " ") == 0 &&
                 is_mark(gv_text(j, "content")))
            *marks = true;
        else if (is_step(j, "NFC") || is_step(j, "NFKC") || is_step(j, "Precompiled"))
            gv_differs(g, "it normalizes (%s)", type);
        else
            return gv_cannot(g, "GGUF has no normalizer %.40s for SentencePiece", type);
    }
    return true;
}

static bool spaces_of_pres(struct gv *g, bool *marks)
{
    for (int i = 0; i < g->pre.n; i++) {
        const json_t *j = g->pre.v[i];
        if (*marks && is_step(j, "Split") && strcmp(gv_pattern(j, "String"), " ") == 0)
            continue; /* there are none any more */
        if (!is_step(j, "Metaspace") || *marks)
            return gv_cannot(g, "GGUF has no pre-tokenizer %.40s for SentencePiece", gv_step_type(j));
        const json_t *split = json_object_get(j, "split"), *add = json_object_get(j, "add_prefix_space");
        const char *scheme = gv_text(j, "prepend_scheme");
        if (!json_is_false(split))
            return gv_cannot(g, "its BPE cuts words at spaces");
        if (json_object_get(j, "replacement") && !is_mark(gv_text(j, "replacement")))
            return gv_cannot(g, "it writes '%.20s' for a space", gv_text(j, "replacement"));
        scheme = scheme[0] ? scheme : json_is_false(add) ? "never" : "always";
        g->prefix = strcmp(scheme, "never") != 0;
        if (strcmp(scheme, "first") == 0)
            gv_differs(g,
                       "it puts a space in front of the first word alone, they do behind special tokens too");
        else if (g->prefix)
            gv_differs(g, "it puts no second space in front of a text that begins with one");
        *marks = true;
    }
    return *marks || gv_cannot(g, "it keeps spaces as they are, which SentencePiece does not");
}

static bool check_decoders(struct gv *g)
{
    static const char *const known[] = {"Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"};
    for (int i = 0; i < g->dec.n; i++) {
        bool is_known = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            is_known |= is_step(g->dec.v[i], known[k]);
        if (!is_known)
            return gv_cannot(g, "GGUF has no decoder %.40s for SentencePiece", gv_step_type(g->dec.v[i]));
    }
    return true;
}

/* Pairs of tokens that make this one. */
static size_t count_pairs(const struct gv *g, struct str s)
{
    size_t n = 0;
    for (size_t i = 1; i < s.n; i++)
        if (((unsigned char)s.p[i] & 0xc0) != 0x80)
            n += gv_id(g, s.p, i) >= 0 && gv_id(g, s.p + i, s.n - i) >= 0;
    return n;
}

/* Scores by the order of the merges; n_merge counts those of each token. */
static bool score_merges(struct gv *g, uint32_t *n_merge)
{
    const json_t *merges = json_object_get(g->model, "merges");
    struct buf whole;
    size_t n_made = 0;
    int64_t last = -1;
    buf_init(&whole, 1 << 20);
    for (size_t i = 0; i < json_array_size(merges); i++) {
        struct str left, right;
        bool is_pair = gv_parts(json_array_get(merges, i), &left, &right);
        buf_clear(&whole);
        if (is_pair) {
            buf_put(&whole, left.p, left.n);
            buf_put(&whole, right.p, right.n);
        }
        int64_t id = is_pair && !whole.full ? gv_id(g, whole.p, whole.n) : -1;
        if (id < 0 || gv_id(g, left.p, left.n) < 0 || gv_id(g, right.p, right.n) < 0)
            gv_cannot(g, "its merge %zu is of tokens that it has not", i);
        else if (n_merge[id] && id != last)
            gv_cannot(g, "merges of '%.40s' stand apart, which no score can say", g->token[id].text.p);
        else if (!n_merge[id])
            g->score[id] = -(float)++n_made;
        if (g->why[0])
            break;
        n_merge[id]++;
        last = id;
    }
    buf_free(&whole);
    return !g->why[0];
}

static bool scores(struct gv *g)
{
    g->score = mem_new(g->n * sizeof *g->score);
    uint32_t *n_merge = mem_new(g->n * sizeof *n_merge);
    bool fits = score_merges(g, n_merge);
    for (size_t i = 0; i < g->n && fits; i++) {
        const struct gv_token *t = &g->token[i];
        if (t->model && t->type == GV_NORMAL && count_pairs(g, t->text) != n_merge[i])
            fits = gv_cannot(g, "its merges make '%.40s' of fewer pairs of tokens than SentencePiece would",
                             t->text.p);
        if (!n_merge[i] && t->type == GV_NORMAL)
            g->score[i] = -(float)g->n;
    }
    free(n_merge);
    return fits;
}

/* "<0x00>" to "<0xFF>". */
static int mark_bytes(struct gv *g)
{
    int n = 0;
    for (size_t i = 0; i < g->n; i++) {
        struct str s = g->token[i].text;
        const char *hex = "0123456789ABCDEF";
        bool is_byte = g->token[i].model && g->token[i].type == GV_NORMAL && s.n == 6 &&
                       memcmp(s.p, "<0x", 3) == 0 && s.p[5] == '>' && strchr(hex, s.p[3]) &&
                       strchr(hex, s.p[4]);
        if (is_byte)
            g->token[i].type = GV_BYTE;
        n += is_byte;
    }
    return n;
}

static void mark_unknown(struct gv *g)
{
    if (g->unk >= 0 && (size_t)g->unk < g->n)
        g->token[g->unk].type = GV_UNKNOWN;
}

/* Added tokens of spaces. They are spelled with marks, so a text's spaces become them by merges, as those of the model do. */
static void unmark_spaces(struct gv *g)
{
    for (size_t i = 0; i < g->n; i++) {
        struct gv_token *t = &g->token[i];
        if (t->type != GV_USER || !memmem(t->text.p, t->text.n, gv_mark.p, gv_mark.n))
            continue;
        t->type = GV_NORMAL;
        if (!t->model)
            gv_differs(g, "'%.40s' is found where it is written so", t->text.p);
    }
}

bool gv_sentences(struct gv *g)
{
    bool marks = false;
    g->name = STR("llama");
    if (!spaces_of_norms(g, &marks) || !spaces_of_pres(g, &marks) || !check_decoders(g))
        return false;
    if (gv_text(g->model, "continuing_subword_prefix")[0] || gv_text(g->model, "end_of_word_suffix")[0])
        return gv_cannot(g, "its BPE has continuing_subword_prefix or end_of_word_suffix");
    if (json_is_true(json_object_get(g->model, "ignore_merges")))
        return gv_cannot(g, "its BPE has ignore_merges, which SentencePiece has not");
    const char *unk = gv_text(g->model, "unk_token");
    g->unk = unk[0] ? gv_id(g, unk, strlen(unk)) : -1;
    if (!json_is_true(json_object_get(g->model, "byte_fallback")) || mark_bytes(g) != 256)
        return gv_cannot(g, "its BPE has no token for some bytes");
    mark_unknown(g);
    unmark_spaces(g);
    return scores(g);
}

/* ---- "t5" ---- */

static bool put_charsmap(struct gv *g, struct str text)
{
    struct buf b;
    buf_init(&b, text.n);
    bool is_right = base64_decode(text, &b);
    if (is_right && b.n)
        meta_put_array(g->f, "tokenizer.ggml.precompiled_charsmap", MF_U8, b.n, b.p, b.n);
    buf_free(&b);
    return is_right || gv_cannot(g, "its precompiled_charsmap is not base64");
}

static bool has_inner_mark(const struct gv *g)
{
    for (size_t i = 0; i < g->n; i++) {
        struct str s = g->token[i].text;
        if (g->token[i].type == GV_NORMAL && s.n > 1 && memmem(s.p + 1, s.n - 1, gv_mark.p, gv_mark.n))
            return true;
    }
    return false;
}

static bool take_scores(struct gv *g)
{
    const json_t *list = json_object_get(g->model, "vocab");
    g->score = mem_new(g->n * sizeof *g->score);
    for (size_t i = 0; i < json_array_size(list) && i < g->n; i++) {
        double v = json_number_value(json_array_get(json_array_get(list, i), 1));
        g->score[i] = (float)v;
        if (!(v > -1e30 && v < 1e30))
            return gv_cannot(g, "the score of token %zu is no number", i);
    }
    return true;
}

bool gv_unigram(struct gv *g)
{
    const json_t *map = NULL, *last = g->pre.n ? g->pre.v[g->pre.n - 1] : NULL;
    bool merge = g->pre.n == 2 && is_step(g->pre.v[0], "WhitespaceSplit");
    g->name = STR("t5");
    for (int i = 0; i < g->norm.n; i++) {
        const json_t *j = g->norm.v[i];
        if (is_step(j, "Precompiled") && !map)
            map = j;
        else if (is_step(j, "Replace") && strcmp(gv_pattern(j, "Regex"), " {2,}") == 0)
            merge = true;
        else
            return gv_cannot(g, "GGUF has no normalizer %.40s for Unigram", gv_step_type(j));
    }
    if (!last || !is_step(last, "Metaspace") || (g->pre.n > 1 && !(g->pre.n == 2 && merge)))
        return gv_cannot(g, "GGUF has no pre-tokenizer %.40s for Unigram",
                         last ? gv_step_type(last) : "that is none");
    if (!json_is_false(json_object_get(last, "split")) && has_inner_mark(g))
        return gv_cannot(g, "it cuts words at spaces, and has tokens that go across");
    const json_t *unk = json_object_get(g->model, "unk_id");
    g->unk = json_is_integer(unk) && json_integer_value(unk) < (int64_t)g->n ? json_integer_value(unk) : -1;
    if (g->unk < 0)
        return gv_cannot(g, "it has no unknown token");
    g->prefix = strcmp(gv_text(last, "prepend_scheme"), "never") != 0 &&
                !json_is_false(json_object_get(last, "add_prefix_space"));
    if (json_is_true(json_object_get(g->model, "byte_fallback")))
        mark_bytes(g);
    mark_unknown(g);
    gv_differs(g,
               "SentencePiece finds spaces and replaces characters in another way than this tokenizer.json");
    if (!take_scores(g) || (map && !put_charsmap(g, str_of(gv_text(map, "precompiled_charsmap")))))
        return false;
    meta_put_bool(g->f, "tokenizer.ggml.remove_extra_whitespaces", merge);
    return true;
}

/* ---- "bert" ---- */

bool gv_pieces(struct gv *g)
{
    const json_t *norm = g->norm.n == 1 ? g->norm.v[0] : NULL,
                 *most = json_object_get(g->model, "max_input_chars_per_word");
    const char *prefix = gv_text(g->model, "continuing_subword_prefix"),
               *unk = gv_text(g->model, "unk_token");
    g->name = STR("bert");
    if (!norm || !is_step(norm, "BertNormalizer") || g->pre.n != 1 ||
        !is_step(g->pre.v[0], "BertPreTokenizer"))
        return gv_cannot(g, "GGUF has WordPiece behind BertNormalizer and BertPreTokenizer alone");
    if (json_is_false(json_object_get(norm, "clean_text")) ||
        json_is_false(json_object_get(norm, "handle_chinese_chars")))
        return gv_cannot(g, "its BertNormalizer has clean_text or handle_chinese_chars switched off");
    if (prefix[0] && strcmp(prefix, "##") != 0)
        return gv_cannot(g, "its pieces inside of words begin with '%.20s', not '##'", prefix);
    if (json_is_integer(most) && json_integer_value(most) != 100)
        gv_differs(g, "a word is unknown from another length on");
    if (g->add_bos != 1 || g->add_eos != 1)
        return gv_cannot(g, "it does not put one token in front of a text and one behind it");
    unk = unk[0] ? unk : "[UNK]";
    g->unk = gv_id(g, unk, strlen(unk));
    if (g->unk < 0)
        return gv_cannot(g, "it has no unknown token");
    bool lower = !json_is_false(json_object_get(norm, "lowercase"));
    const json_t *accents = json_object_get(norm, "strip_accents");
    meta_put_bool(g->f, "tokenizer.ggml.normalizer.lowercase", lower);
    meta_put_bool(g->f, "tokenizer.ggml.normalizer.strip_accents",
                  json_is_boolean(accents) ? json_is_true(accents) : lower);
    return true;
}
