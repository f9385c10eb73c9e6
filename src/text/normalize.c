/* Normalizers: the table of their kinds, and applying a list of them. */
#include "base/base64.h"
#include "text/pipe.h"

struct norm_kind {
    const char *name, *keys;
    int flags;
    int (*parse)(struct norm *s, const json_t *j, const char *where, struct lathe_err *err);
    void (*apply)(const struct norm *s, struct str in, bool marked, struct out *out);
};

enum { COMPOSE = 1, COMPAT = 2 };

static void apply_form(const struct norm *s, struct str in, bool marked, struct out *out)
{
    uni_normalize(in, s->kind->flags & COMPOSE, s->kind->flags & COMPAT, out);
}

static void apply_lower(const struct norm *s, struct str in, bool marked, struct out *out)
{
    for (size_t i = 0, len; i < in.n; i += len) {
        uint32_t c = uni_at(in.p + i, in.n - i, &len);
        uni_put_lower(c, out);
    }
}

static void apply_strip_accents(const struct norm *s, struct str in, bool marked, struct out *out)
{
    for (size_t i = 0, len; i < in.n; i += len)
        if (!uni_is_mark(uni_at(in.p + i, in.n - i, &len)))
            out_put(out, in.p + i, len);
}

static uint32_t nmt(uint32_t c)
{
    if ((c >= 1 && c <= 8) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f)
        return UINT32_MAX;
    bool space = c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 || (c >= 0x200b && c <= 0x200f) ||
                 c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd;
    return space ? ' ' : c;
}

static void apply_nmt(const struct norm *s, struct str in, bool marked, struct out *out)
{
    for (size_t i = 0, len; i < in.n; i += len) {
        uint32_t c = uni_at(in.p + i, in.n - i, &len), to = nmt(c);
        if (to == c)
            out_put(out, in.p + i, len);
        else if (to == ' ')
            out_put(out, " ", 1);
    }
}

static int parse_strip(struct norm *s, const json_t *j, const char *where, struct lathe_err *err)
{
    s->left = s->right = true;
    TRY(step_bool(j, where, "strip_left", &s->left, err));
    return step_bool(j, where, "strip_right", &s->right, err);
}

static void apply_strip(const struct norm *s, struct str in, bool marked, struct out *out)
{
    size_t from = 0, to = in.n, len;
    while (s->left && from < to && uni_is_space(uni_at(in.p + from, to - from, &len)))
        from += len;
    while (s->right && to > from && uni_is_space(uni_before(in.p, to, &len)))
        to -= len;
    out_put(out, in.p + from, to - from);
}

static int parse_replace(struct norm *s, const json_t *j, const char *where, struct lathe_err *err)
{
    struct str content = {0};
    TRY(pattern_of_json(json_object_get(j, "pattern"), where, &s->pattern, err));
    TRY(step_str(j, where, "content", &content, err));
    s->text = step_dup(content);
    return 0;
}

static void apply_replace(const struct norm *s, struct str in, bool marked, struct out *out)
{
    struct pattern_walk w;
    struct span at;
    pattern_start(&w, s->pattern, in);
    while (pattern_next(&w, &at))
        if (at.match)
            out_put(out, s->text.p, s->text.n);
        else
            out_put(out, in.p + at.from, at.to - at.from);
    pattern_stop(&w);
}

static int parse_prepend(struct norm *s, const json_t *j, const char *where, struct lathe_err *err)
{
    struct str text = {0};
    TRY(step_str(j, where, "prepend", &text, err));
    s->text = step_dup(text);
    return 0;
}

static void apply_prepend(const struct norm *s, struct str in, bool marked, struct out *out)
{
    if (in.n)
        out_put(out, s->text.p, s->text.n);
    out_put(out, in.p, in.n);
}

static int parse_precompiled(struct norm *s, const json_t *j, const char *where, struct lathe_err *err)
{
    struct str text = {0};
    struct buf bytes;
    TRY(step_str(j, where, "precompiled_charsmap", &text, err));
    int rc = 0;
    buf_init(&bytes, text.n);
    if (!base64_decode(text, &bytes))
        rc = err_set(err, LATHE_E_FILE, "%s: 'precompiled_charsmap' is not base64", where);
    else if (bytes.n) /* an empty one changes nothing */
        rc = charsmap_new((struct str){bytes.p, bytes.n}, where, &s->charsmap, err);
    buf_free(&bytes);
    return rc;
}

static void apply_precompiled(const struct norm *s, struct str in, bool marked, struct out *out)
{
    if (s->charsmap)
        charsmap_apply(s->charsmap, in, out);
    else
        out_put(out, in.p, in.n);
}

static int parse_bert(struct norm *s, const json_t *j, const char *where, struct lathe_err *err)
{
    s->clean = s->chinese = s->lower = true;
    TRY(step_bool(j, where, "clean_text", &s->clean, err));
    TRY(step_bool(j, where, "handle_chinese_chars", &s->chinese, err));
    TRY(step_bool(j, where, "lowercase", &s->lower, err));
    s->accents = s->lower;
    return step_bool(j, where, "strip_accents", &s->accents, err);
}

static void apply_bytes(const struct norm *s, struct str in, bool marked, struct out *out)
{
    bytes_spell(marked, in, out);
}

/* SentencePiece's own: replacements by the longest match, spaces as U+2581, one in front, and extra ones gone. */
static void apply_spm(const struct norm *s, struct str in, bool marked, struct out *out)
{
    bool in_word = false, begun = false;
    for (size_t i = 0, len; i < in.n; i += len) {
        struct str to = {in.p + i, 1};
        len = s->charsmap ? charsmap_longest(s->charsmap, (struct str){in.p + i, in.n - i}, &to) : 0;
        if (!len) {
            uni_at(in.p + i, in.n - i, &len);
            to.n = len;
        }
        for (size_t k = 0; k < to.n; k++) {
            bool space = to.p[k] == ' ';
            bool mark = space ? !s->merge : !in_word && (begun ? s->merge : s->prefix);
            if (mark)
                out_put(out, "\xe2\x96\x81", 3);
            begun = begun || !space;
            in_word = !space;
            if (!space)
                out_put(out, to.p + k, 1);
        }
    }
    while (s->merge && out->n >= 3 && memcmp(out->p + out->n - 3, "\xe2\x96\x81", 3) == 0)
        out->n -= 3; /* what was U+2581 in the text, too */
}

static const struct norm_kind kinds[] = {
    {"NFC", "", COMPOSE, NULL, apply_form},
    {"NFD", "", 0, NULL, apply_form},
    {"NFKC", "", COMPOSE | COMPAT, NULL, apply_form},
    {"NFKD", "", COMPAT, NULL, apply_form},
    {"Lowercase", "", 0, NULL, apply_lower},
    {"StripAccents", "", 0, NULL, apply_strip_accents},
    {"Nmt", "", 0, NULL, apply_nmt},
    {"Strip", "strip_left strip_right", 0, parse_strip, apply_strip},
    {"Replace", "pattern content", 0, parse_replace, apply_replace},
    {"Prepend", "prepend", 0, parse_prepend, apply_prepend},
    {"Precompiled", "precompiled_charsmap", 0, parse_precompiled, apply_precompiled},
    {"BertNormalizer", "clean_text handle_chinese_chars strip_accents lowercase", 0, parse_bert,
     bert_normalize},
    {"ByteLevel", "", 0, NULL, apply_bytes},
};
static const struct norm_kind spm_kind = {"SentencePiece", "", 0, NULL, apply_spm};

static int add_step(void *user, const json_t *j, const char *type, struct lathe_err *err)
{
    struct norms *s = user;
    char where[80];
    snprintf(where, sizeof where, "normalizer %.50s", type);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, type) != 0)
            continue;
        if (s->n == PIPE_MAX_STEP)
            return err_set(err, LATHE_E_LIMIT, "there are more than %d normalizers", PIPE_MAX_STEP);
        struct norm *n = &s->step[s->n++];
        n->kind = &kinds[i];
        s->bytes = s->bytes || n->kind->apply == apply_bytes;
        TRY(step_keys(j, where, n->kind->keys, err));
        return n->kind->parse ? n->kind->parse(n, j, where, err) : 0;
    }
    return err_set(err, LATHE_E_UNSUPPORTED, "normalizer '%.60s' is not supported", type);
}

int norms_of_json(const json_t *j, struct norms *out, struct lathe_err *err)
{
    return step_each(j, "normalizer", "normalizers", add_step, out, err);
}

int norms_of_spm(struct norms *s, struct str charsmap, bool prefix, bool merge, struct lathe_err *err)
{
    struct norm *n = &s->step[s->n++];
    n->kind = &spm_kind;
    n->prefix = prefix;
    n->merge = merge;
    return charsmap.n ? charsmap_new(charsmap, "tokenizer.ggml.precompiled_charsmap", &n->charsmap, err) : 0;
}

void norms_free(struct norms *s)
{
    for (int i = 0; i < s->n; i++) {
        pattern_free(s->step[i].pattern);
        free((void *)s->step[i].text.p);
        charsmap_free(s->step[i].charsmap);
    }
}

int norms_apply(const struct norms *s, struct str in, bool marked, struct out *a, struct out *b,
                struct str *out, struct lathe_err *err)
{
    *out = in;
    for (int i = 0; i < s->n; i++) {
        struct out *to = i % 2 ? b : a;
        to->n = 0;
        s->step[i].kind->apply(&s->step[i], *out, marked, to);
        TRY(out_check(to, s->step[i].kind->name, err));
        *out = out_str(to);
    }
    return 0;
}
