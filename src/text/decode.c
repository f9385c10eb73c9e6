/* Decoders: the table of their kinds, and what a token adds to a text.
 *
 * A text is the sum of its tokens' pieces, so that it can be told as it grows. What a step does to one token alone is fine; what
 * depends on its place is so only at the ends of a text: the first token's form, characters that the beginning of the whole
 * text loses (Strip behind Fuse), and the last token of BPEDecoder. A step that looks across tokens otherwise is refused.
 * Bytes stay bytes: where `tokenizers` writes U+FFFD for a run of byte tokens that is no UTF-8 as a whole, its valid characters stay
 * here, and what shows the text replaces the rest. */
#include "base/mem.h"
#include "text/pipe.h"

struct dec_at {
    int flags;
    bool fused;
    int64_t *n_strip;
};

struct dec_kind {
    const char *name, *keys;
    bool fuses;        /* what follows sees one text */
    bool after_fusion; /* may follow such a step */
    int (*parse)(struct dec *s, const json_t *j, const char *where, struct lathe_err *err);
    void (*apply)(const struct dec *s, struct str in, const struct dec_at *at, struct out *out);
};

static void apply_bytes(const struct dec *s, struct str in, const struct dec_at *at, struct out *out)
{
    if (!out_room(out, in.n))
        return;
    int n = bpe_unspell(in, out->p);
    if (n >= 0)
        out->n = (size_t)n;
    else
        out_put(out, in.p, in.n);
}

static int parse_wordpiece(struct dec *s, const json_t *j, const char *where, struct lathe_err *err)
{
    struct str prefix = STR("##");
    s->cleanup = true;
    TRY(step_str(j, where, "prefix", &prefix, err));
    s->text = step_dup(prefix);
    return step_bool(j, where, "cleanup", &s->cleanup, err);
}

static const char *const cleanups[][2] = {
    {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},    {" n't", "n't"},
    {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
};

static void replace_all(struct out *text, const char *from, const char *to)
{
    size_t n_from = strlen(from);
    const char *at = text->n ? memmem(text->p, text->n, from, n_from) : NULL;
    if (!at)
        return;
    struct out fresh = {0};
    size_t i = 0;
    for (; at; at = memmem(text->p + i, text->n - i, from, n_from)) {
        size_t k = (size_t)(at - text->p);
        out_put(&fresh, text->p + i, k - i);
        out_put(&fresh, to, strlen(to));
        i = k + n_from;
    }
    out_put(&fresh, text->p + i, text->n - i);
    free(text->p);
    *text = fresh;
}

static void apply_wordpiece(const struct dec *s, struct str in, const struct dec_at *at, struct out *out)
{
    bool first = at->flags & DECODE_FIRST;
    bool inner = s->text.n <= in.n && memcmp(in.p, s->text.p, s->text.n) == 0;
    if (!first && inner)
        in = (struct str){in.p + s->text.n, in.n - s->text.n};
    else if (!first)
        out_put(out, " ", 1);
    out_put(out, in.p, in.n);
    for (size_t i = 0; s->cleanup && i < sizeof cleanups / sizeof *cleanups; i++)
        replace_all(out, cleanups[i][0], cleanups[i][1]);
}

static int parse_metaspace(struct dec *s, const json_t *j, const char *where, struct lathe_err *err)
{
    struct str text = STR("\xe2\x96\x81"), again = {0}, scheme = STR("always");
    bool add = true, split = true;
    uint32_t c;
    TRY(step_str(j, where, "replacement", &text, err));
    TRY(step_str(j, where, "str_rep", &again, err));
    TRY(step_bool(j, where, "add_prefix_space", &add, err));
    TRY(step_bool(j, where, "split", &split, err));
    if (!add)
        scheme = STR("never");
    TRY(step_str(j, where, "prepend_scheme", &scheme, err));
    if (!text.n || (size_t)utf8_get(text.p, text.n, &c) != text.n)
        return err_set(err, LATHE_E_FILE, "%s: 'replacement' is not one character", where);
    s->text = step_dup(text);
    s->first_bare = !str_is(scheme, "never");
    return 0;
}

static void apply_metaspace(const struct dec *s, struct str in, const struct dec_at *at, struct out *out)
{
    bool bare = s->first_bare && at->flags & DECODE_FIRST;
    for (size_t i = 0; i < in.n;) {
        if (in.n - i >= s->text.n && memcmp(in.p + i, s->text.p, s->text.n) == 0) {
            out_put(out, " ", bare ? 0 : 1);
            i += s->text.n;
        } else {
            out_put(out, in.p + i++, 1);
        }
    }
}

static void apply_byte_fallback(const struct dec *s, struct str in, const struct dec_at *at, struct out *out)
{
    unsigned byte;
    char end;
    if (in.n == 6 && in.p[5] == '>' && memcmp(in.p, "<0x", 3) == 0 &&
        strspn(in.p + 3, "0123456789abcdefABCDEF") >= 2 && sscanf(in.p + 3, "%2x%c", &byte, &end) == 2)
        out_put(out, &(char){(char)byte}, 1);
    else
        out_put(out, in.p, in.n);
}

static void apply_fuse(const struct dec *s, struct str in, const struct dec_at *at, struct out *out)
{
    out_put(out, in.p, in.n);
}

static int parse_strip(struct dec *s, const json_t *j, const char *where, struct lathe_err *err)
{
    struct str content = {0};
    uint32_t c;
    TRY(step_str(j, where, "content", &content, err));
    TRY(step_int(j, where, "start", 0, INT32_MAX, &s->start, err));
    TRY(step_int(j, where, "stop", 0, INT32_MAX, &s->stop, err));
    if (!content.n || (size_t)utf8_get(content.p, content.n, &c) != content.n)
        return err_set(err, LATHE_E_FILE, "%s: 'content' is not one character", where);
    s->content = step_dup(content);
    return 0;
}

static void apply_strip(const struct dec *s, struct str in, const struct dec_at *at, struct out *out)
{
    const size_t n = s->content.n;
    size_t from = 0, to = in.n;
    int64_t start = at->fused ? *at->n_strip : s->start, left = start;
    for (; left > 0 && to - from >= n && memcmp(in.p + from, s->content.p, n) == 0; left--)
        from += n;
    if (at->fused && in.n) /* the next token goes on where this one was nothing else */
        *at->n_strip = from == in.n ? left : 0;
    for (int64_t k = s->stop; k > 0 && to - from >= n && memcmp(in.p + to - n, s->content.p, n) == 0; k--)
        to -= n;
    out_put(out, in.p + from, to - from);
}

static int parse_replace(struct dec *s, const json_t *j, const char *where, struct lathe_err *err)
{
    struct str content = {0};
    TRY(pattern_of_json(json_object_get(j, "pattern"), where, &s->pattern, err));
    TRY(step_str(j, where, "content", &content, err));
    s->content = step_dup(content);
    return 0;
}

static void apply_replace(const struct dec *s, struct str in, const struct dec_at *at, struct out *out)
{
    struct pattern_walk w;
    struct span p;
    pattern_start(&w, s->pattern, in);
    while (pattern_next(&w, &p))
        if (p.match)
            out_put(out, s->content.p, s->content.n);
        else
            out_put(out, in.p + p.from, p.to - p.from);
    pattern_stop(&w);
}

static int parse_bpe(struct dec *s, const json_t *j, const char *where, struct lathe_err *err)
{
    struct str suffix = STR("</w>");
    TRY(step_str(j, where, "suffix", &suffix, err));
    if (!suffix.n)
        return err_set(err, LATHE_E_UNSUPPORTED, "%s: an empty suffix is not supported", where);
    s->text = step_dup(suffix);
    return 0;
}

static void apply_bpe(const struct dec *s, struct str in, const struct dec_at *at, struct out *out)
{
    out_put(out, in.p, in.n);
    replace_all(out, s->text.p, at->flags & DECODE_LAST ? "" : " ");
}

static const struct dec_kind kinds[] = {
    {"ByteLevel", "add_prefix_space trim_offsets use_regex", true, false, NULL, apply_bytes},
    {"WordPiece", "prefix cleanup", false, false, parse_wordpiece, apply_wordpiece},
    {"Metaspace", "replacement str_rep add_prefix_space prepend_scheme split", false, false, parse_metaspace,
     apply_metaspace},
    {"ByteFallback", "", false, false, NULL, apply_byte_fallback},
    {"Fuse", "", true, true, NULL, apply_fuse},
    {"Strip", "content start stop", false, true, parse_strip, apply_strip},
    {"Replace", "pattern content", false, false, parse_replace, apply_replace},
    {"BPEDecoder", "suffix", false, false, parse_bpe, apply_bpe},
};

static int fusion_check(const struct decs *d, const char *where, struct lathe_err *err)
{
    const struct dec *last = &d->step[d->n - 1];
    bool fused = false, stripped = false;
    for (int i = 0; i < d->n - 1; i++) {
        stripped = stripped || (fused && d->step[i].kind->apply == apply_strip);
        fused = fused || d->step[i].kind->fuses;
    }
    if (fused && (!last->kind->after_fusion || stripped || last->stop))
        return err_set(
            err, LATHE_E_UNSUPPORTED,
            "%s: behind a step that makes one text of all tokens only one Strip, of the beginning, is "
            "supported",
            where);
    return 0;
}

static int add_step(void *user, const json_t *j, const char *type, struct lathe_err *err)
{
    struct decs *d = user;
    char where[80];
    snprintf(where, sizeof where, "decoder %.50s", type);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, type) != 0)
            continue;
        if (d->n == PIPE_MAX_STEP)
            return err_set(err, LATHE_E_LIMIT, "there are more than %d decoders", PIPE_MAX_STEP);
        struct dec *s = &d->step[d->n++];
        s->kind = &kinds[i];
        TRY(step_keys(j, where, s->kind->keys, err));
        if (s->kind->parse)
            TRY(s->kind->parse(s, j, where, err));
        return fusion_check(d, where, err);
    }
    return err_set(err, LATHE_E_UNSUPPORTED, "decoder '%.60s' is not supported", type);
}

int decs_of_json(const json_t *j, struct decs *out, struct lathe_err *err)
{
    out->present = j && !json_is_null(j);
    return step_each(j, "decoder", "decoders", add_step, out, err);
}

void decs_free(struct decs *d)
{
    for (int i = 0; i < d->n; i++) {
        pattern_free(d->step[i].pattern);
        free((void *)d->step[i].text.p);
        free((void *)d->step[i].content.p);
    }
}

int64_t decs_strip(const struct decs *d)
{
    bool fused = false;
    for (int i = 0; i < d->n; i++) {
        if (fused && d->step[i].kind->apply == apply_strip)
            return d->step[i].start;
        fused = fused || d->step[i].kind->fuses;
    }
    return 0;
}

int decs_apply(const struct decs *d, struct str token, int flags, int64_t *n_strip, struct out *a,
               struct out *b, struct str *out, struct lathe_err *err)
{
    struct dec_at at = {.flags = flags, .n_strip = n_strip};
    *out = token;
    if (!d->present && !(flags & DECODE_FIRST)) { /* tokens with a space between them */
        a->n = 0;
        out_put(a, " ", 1);
        out_put(a, token.p, token.n);
        *out = out_str(a);
    }
    for (int i = 0; i < d->n; i++) {
        struct out *to = i % 2 ? b : a;
        to->n = 0;
        d->step[i].kind->apply(&d->step[i], *out, &at, to);
        TRY(out_check(to, d->step[i].kind->name, err));
        *out = out_str(to);
        at.fused = at.fused || d->step[i].kind->fuses;
    }
    return 0;
}
