/* Pre-tokenizers: the table of their kinds, and sending a text through a list of them.
 *
 * A step cuts a piece and hands each part to the next step; what leaves the last one is a word. A step that changes its piece
 * writes it to the buffer of its level, which lives while the levels below work on it. */
#include "base/mem.h"
#include "text/pipe.h"

struct pre_kind {
    const char *name, *keys;
    int (*parse)(struct pre *s, const json_t *j, const char *where, struct lathe_err *err);
    int (*run)(struct walk *w, int level, struct str piece, bool first);
};

struct cut {
    struct walk *w;
    int level;
    struct str text;
    bool first;
};

static int cut_piece(void *user, size_t from, size_t to)
{
    const struct cut *c = user;
    return pres_walk(c->w, c->level + 1, (struct str){c->text.p + from, to - from}, c->first && from == 0);
}

static int run_split(struct walk *w, int level, struct str piece, bool first)
{
    const struct pre *s = &w->p->pres.step[level];
    struct cut c = {w, level, piece, first};
    return pattern_split(s->pattern, piece, s->invert, s->behavior, cut_piece, &c);
}

#define GPT2_WORDS "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

static int parse_bytes(struct pre *s, const json_t *j, const char *where, struct lathe_err *err)
{
    bool trim = false, words = true;
    s->prefix = true;
    s->behavior = SPLIT_ISOLATED;
    TRY(step_bool(j, where, "add_prefix_space", &s->prefix, err));
    TRY(step_bool(j, where, "trim_offsets", &trim, err));
    TRY(step_bool(j, where, "use_regex", &words, err));
    return words ? pattern_of_regex(STR(GPT2_WORDS), where, &s->pattern, err) : 0;
}

/* Two levels of work in one step: words are cut, then spelled into the buffer, which each word has to itself. */
static int spell_word(void *user, size_t from, size_t to)
{
    const struct cut *c = user;
    struct out *o = &c->w->level[c->level];
    o->n = 0;
    bytes_spell(c->w->marked, (struct str){c->text.p + from, to - from}, o);
    TRY(out_check(o, "ByteLevel", c->w->err));
    return pres_walk(c->w, c->level + 1, out_str(o), c->first && from == 0);
}

static int run_bytes(struct walk *w, int level, struct str piece, bool first)
{
    const struct pre *s = &w->p->pres.step[level];
    struct cut c = {w, level, piece, first};
    struct out prefixed = {0};
    if (s->prefix && piece.n && piece.p[0] != ' ') {
        out_put(&prefixed, " ", 1);
        out_put(&prefixed, piece.p, piece.n);
        TRY(out_check(&prefixed, "ByteLevel", w->err));
        c.text = out_str(&prefixed);
    }
    int rc = s->pattern ? pattern_split(s->pattern, c.text, false, s->behavior, spell_word, &c)
                        : spell_word(&c, 0, c.text.n);
    free(prefixed.p);
    return rc;
}

static int parse_space(struct pre *s, const json_t *j, const char *where, struct lathe_err *err)
{
    s->pattern = pattern_of_class(uni_is_space);
    s->behavior = SPLIT_REMOVED;
    return 0;
}

static int class_of(uint32_t c)
{
    return uni_is_word(c) ? 1 : uni_is_space(c) ? 0 : 2;
}

/* \w+|[^\w\s]+ */
static int run_whitespace(struct walk *w, int level, struct str piece, bool first)
{
    struct cut c = {w, level, piece, first};
    size_t from = 0, len;
    for (size_t i = 0, to; i < piece.n; i = to) {
        int class = class_of(uni_at(piece.p + i, piece.n - i, &len));
        from = i;
        for (to = i + len; to < piece.n; to += len)
            if (class_of(uni_at(piece.p + to, piece.n - to, &len)) != class)
                break;
        if (class)
            TRY(cut_piece(&c, from, to));
    }
    return 0;
}

static int bert_word(void *user, size_t from, size_t to)
{
    struct cut *c = user;
    for (size_t i = from, len; i < to; i += len)
        if (uni_is_punct(uni_at(c->text.p + i, to - i, &len))) {
            if (i > from)
                TRY(cut_piece(c, from, i));
            TRY(cut_piece(c, i, i + len));
            from = i + len;
        }
    return to > from ? cut_piece(c, from, to) : 0;
}

static int parse_bert(struct pre *s, const json_t *j, const char *where, struct lathe_err *err)
{
    s->pattern = pattern_of_class(uni_is_space);
    return 0;
}

static int run_bert(struct walk *w, int level, struct str piece, bool first)
{
    struct cut c = {w, level, piece, first};
    return pattern_split(w->p->pres.step[level].pattern, piece, false, SPLIT_REMOVED, bert_word, &c);
}

static int parse_metaspace(struct pre *s, const json_t *j, const char *where, struct lathe_err *err)
{
    struct str text = STR("\xe2\x96\x81"), scheme = STR("always"), again = {0};
    bool add = true;
    s->split = true;
    TRY(step_str(j, where, "replacement", &text, err));
    TRY(step_str(j, where, "str_rep", &again, err)); /* the same, of old files */
    TRY(step_bool(j, where, "add_prefix_space", &add, err));
    TRY(step_bool(j, where, "split", &s->split, err));
    if (!add)
        scheme = STR("never");
    TRY(step_str(j, where, "prepend_scheme", &scheme, err));
    uint32_t c = 0;
    if (!text.n || (size_t)utf8_get(text.p, text.n, &c) != text.n)
        return err_set(err, LATHE_E_FILE, "%s: 'replacement' is not one character", where);
    s->first_only = str_is(scheme, "first");
    s->prefix = s->first_only || str_is(scheme, "always");
    if (!s->prefix && !str_is(scheme, "never"))
        return err_set(err, LATHE_E_UNSUPPORTED,
                       "%s: prepend_scheme '" STR_FMT "' is none of always, first, never", where,
                       STR_ARG(scheme));
    s->text = step_dup(text);
    s->pattern = pattern_of_char(c);
    s->behavior = SPLIT_NEXT;
    return 0;
}

static int run_metaspace(struct walk *w, int level, struct str piece, bool first)
{
    const struct pre *s = &w->p->pres.step[level];
    struct out *o = &w->level[level];
    bool there = piece.n &&
                 (piece.p[0] == ' ' || (piece.n >= s->text.n && memcmp(piece.p, s->text.p, s->text.n) == 0));
    o->n = 0;
    if (s->prefix && !there && (first || !s->first_only))
        out_put(o, s->text.p, s->text.n);
    for (size_t i = 0; i < piece.n;) {
        const char *space = memchr(piece.p + i, ' ', piece.n - i);
        size_t to = space ? (size_t)(space - piece.p) : piece.n;
        out_put(o, piece.p + i, to - i);
        if (space)
            out_put(o, s->text.p, s->text.n);
        i = to + (space != NULL);
    }
    TRY(out_check(o, "Metaspace", w->err));
    struct cut c = {w, level, out_str(o), first};
    return s->split ? pattern_split(s->pattern, c.text, false, s->behavior, cut_piece, &c)
                    : pres_walk(w, level + 1, c.text, first);
}

static int parse_punctuation(struct pre *s, const json_t *j, const char *where, struct lathe_err *err)
{
    const json_t *b = json_object_get(j, "behavior");
    s->behavior = SPLIT_ISOLATED;
    s->pattern = pattern_of_class(uni_is_punct);
    return b ? behavior_of_json(b, where, &s->behavior, err) : 0;
}

static int parse_digits(struct pre *s, const json_t *j, const char *where, struct lathe_err *err)
{
    bool each = false;
    TRY(step_bool(j, where, "individual_digits", &each, err));
    s->behavior = each ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS;
    s->pattern = pattern_of_class(uni_is_numeric);
    return 0;
}

static int parse_delimiter(struct pre *s, const json_t *j, const char *where, struct lathe_err *err)
{
    struct str text = {0};
    uint32_t c = 0;
    TRY(step_str(j, where, "delimiter", &text, err));
    if (!text.n || (size_t)utf8_get(text.p, text.n, &c) != text.n)
        return err_set(err, LATHE_E_FILE, "%s: 'delimiter' is not one character", where);
    s->pattern = pattern_of_char(c);
    s->behavior = SPLIT_REMOVED;
    return 0;
}

static int parse_split(struct pre *s, const json_t *j, const char *where, struct lathe_err *err)
{
    TRY(step_bool(j, where, "invert", &s->invert, err));
    TRY(behavior_of_json(json_object_get(j, "behavior"), where, &s->behavior, err));
    return pattern_of_json(json_object_get(j, "pattern"), where, &s->pattern, err);
}

static const struct pre_kind kinds[] = {
    {"ByteLevel", "add_prefix_space trim_offsets use_regex", parse_bytes, run_bytes},
    {"Whitespace", "", NULL, run_whitespace},
    {"WhitespaceSplit", "", parse_space, run_split},
    {"BertPreTokenizer", "", parse_bert, run_bert},
    {"Metaspace", "replacement str_rep add_prefix_space prepend_scheme split", parse_metaspace,
     run_metaspace},
    {"Punctuation", "behavior", parse_punctuation, run_split},
    {"Digits", "individual_digits", parse_digits, run_split},
    {"CharDelimiterSplit", "delimiter", parse_delimiter, run_split},
    {"Split", "pattern behavior invert", parse_split, run_split},
};

static int add_step(void *user, const json_t *j, const char *type, struct lathe_err *err)
{
    struct pres *s = user;
    char where[80];
    snprintf(where, sizeof where, "pre-tokenizer %.50s", type);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, type) != 0)
            continue;
        if (s->n == PIPE_MAX_STEP)
            return err_set(err, LATHE_E_LIMIT, "there are more than %d pre-tokenizers", PIPE_MAX_STEP);
        struct pre *p = &s->step[s->n++];
        p->kind = &kinds[i];
        s->bytes = s->bytes || p->kind->run == run_bytes;
        TRY(step_keys(j, where, p->kind->keys, err));
        return p->kind->parse ? p->kind->parse(p, j, where, err) : 0;
    }
    return err_set(err, LATHE_E_UNSUPPORTED, "pre-tokenizer '%.60s' is not supported", type);
}

int pres_of_json(const json_t *j, struct pres *out, struct lathe_err *err)
{
    return step_each(j, "pre_tokenizer", "pretokenizers", add_step, out, err);
}

void pres_free(struct pres *s)
{
    for (int i = 0; i < s->n; i++) {
        pattern_free(s->step[i].pattern);
        free((void *)s->step[i].text.p);
    }
}

int pres_walk(struct walk *w, int level, struct str piece, bool first)
{
    if (piece.n == 0)
        return 0;
    if (level == w->p->pres.n)
        return word_encode(w, piece);
    return w->p->pres.step[level].kind->run(w, level, piece, first);
}
