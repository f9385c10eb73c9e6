/* Patterns: finding and splitting. What counts as a match, and what becomes of it, is as in the `tokenizers` library.
 *
 * Time: expressions run on PCRE2's JIT, which needs no stack that grows with the text; one that gives up by its match limit
 * ends the search, so that the rest stays whole. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pattern.h"
#include <pcre2.h>
#include "base/mem.h"

enum kind { P_STRING, P_REGEX, P_CLASS, P_CHAR };

struct pattern {
    enum kind kind;
    struct str text; /* owned */
    pcre2_code *code;
    bool jit;
    bool (*is)(uint32_t c);
    uint32_t c;
};

struct scratch {
    pcre2_match_data *data;
    pcre2_match_context *bounds;
};

int pattern_of_regex(struct str source, const char *where, struct pattern **out, struct lathe_err *err)
{
    char *text = NULL;
    size_t n = 0, at = 0;
    int code = 0;
    *out = NULL;
    TRY(onig_translate(source, where, &text, &n, err));
    pcre2_code *re =
        pcre2_compile((PCRE2_SPTR)text, n,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C,
                      &code, &at, NULL);
    free(text);
    if (!re)
        return err_set(err, LATHE_E_UNSUPPORTED,
                       "%s: the expression '" STR_FMT "' does not compile here (pcre2 error %d at byte %zu)",
                       where, STR_ARG(source), code, at);
    struct pattern *p = mem_new(sizeof *p);
    p->kind = P_REGEX;
    p->code = re;
    p->jit = pcre2_jit_compile(re, PCRE2_JIT_COMPLETE) == 0;
    *out = p;
    return 0;
}

int pattern_of_json(const json_t *j, const char *where, struct pattern **out, struct lathe_err *err)
{
    const json_t *s = json_object_get(j, "String"), *r = json_object_get(j, "Regex");
    *out = NULL;
    if (json_object_size(j) != 1 || !json_is_string(s ? s : r))
        return err_set(err, LATHE_E_FILE,
                       "%s: its pattern is neither {\"String\": text} nor {\"Regex\": text}", where);
    struct str text = {json_string_value(s ? s : r), json_string_length(s ? s : r)};
    if (!text.n)
        return err_set(err, LATHE_E_UNSUPPORTED, "%s: an empty pattern is not supported", where);
    if (r)
        return pattern_of_regex(text, where, out, err);
    struct pattern *p = mem_new(sizeof *p);
    p->kind = P_STRING;
    p->text = (struct str){mem_dup(text.p, text.n), text.n};
    *out = p;
    return 0;
}

struct pattern *pattern_of_class(bool (*is)(uint32_t c))
{
    struct pattern *p = mem_new(sizeof *p);
    p->kind = P_CLASS;
    p->is = is;
    return p;
}

struct pattern *pattern_of_char(uint32_t c)
{
    struct pattern *p = mem_new(sizeof *p);
    p->kind = P_CHAR;
    p->c = c;
    return p;
}

void pattern_free(struct pattern *p)
{
    if (!p)
        return;
    free((void *)p->text.p);
    pcre2_code_free(p->code);
    free(p);
}

/* ---- finding ---- */

void pattern_start(struct pattern_walk *w, const struct pattern *p, struct str text)
{
    *w = (struct pattern_walk){.p = p, .text = text, .last_end = SIZE_MAX};
}

void pattern_stop(struct pattern_walk *w)
{
    struct scratch *s = w->scratch;
    if (!s)
        return;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->bounds);
    free(s);
    w->scratch = NULL;
}

static struct scratch *scratch_of(struct pattern_walk *w)
{
    struct scratch *s = w->scratch;
    if (!s) {
        s = w->scratch = mem_new(sizeof *s);
        s->data = pcre2_match_data_create(1, NULL);
        s->bounds = pcre2_match_context_create(NULL);
        if (s->bounds) {
            pcre2_set_match_limit(s->bounds, 100u << 20);
            pcre2_set_heap_limit(s->bounds, 256u << 10); /* KiB */
        }
    }
    return s;
}

static int regex_match(struct pattern_walk *w, size_t at)
{
    struct scratch *s = scratch_of(w);
    PCRE2_SPTR text = (PCRE2_SPTR)w->text.p;
    int rc = PCRE2_ERROR_JIT_STACKLIMIT;
    if (!s->data || !s->bounds)
        return rc;
    if (w->p->jit)
        rc = pcre2_jit_match(w->p->code, text, w->text.n, at, PCRE2_NO_UTF_CHECK, s->data, s->bounds);
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH || rc == PCRE2_ERROR_MATCHLIMIT)
        return rc;
    return pcre2_match(w->p->code, text, w->text.n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->data,
                       s->bounds);
}

/* The next match, an empty one right behind the last match not counted. */
static bool find_regex(struct pattern_walk *w)
{
    while (w->search <= w->text.n) {
        if (regex_match(w, w->search) < 0)
            return false;
        const PCRE2_SIZE *v = pcre2_get_ovector_pointer(((struct scratch *)w->scratch)->data);
        w->from = v[0];
        w->to = v[1] < v[0] ? v[0] : v[1];
        if (w->from == w->to && w->to == w->last_end) {
            size_t len = 1;
            if (w->search < w->text.n)
                uni_at(w->text.p + w->search, w->text.n - w->search, &len);
            w->search += len;
            continue;
        }
        if (w->from < w->done) /* \K, or a look-behind, cannot reach what was told */
            return false;
        w->search = w->last_end = w->to;
        return true;
    }
    return false;
}

static bool find_class(struct pattern_walk *w)
{
    for (size_t i = w->search, len; i < w->text.n; i += len) {
        uint32_t c = uni_at(w->text.p + i, w->text.n - i, &len);
        if (w->p->kind == P_CHAR ? c == w->p->c : w->p->is(c)) {
            w->from = i;
            w->to = w->search = i + len;
            return true;
        }
    }
    return false;
}

static bool find(struct pattern_walk *w)
{
    if (w->p->kind == P_REGEX)
        return find_regex(w);
    if (w->p->kind != P_STRING)
        return find_class(w);
    const char *at = memmem(w->text.p + w->search, w->text.n - w->search, w->p->text.p, w->p->text.n);
    if (!at)
        return false;
    w->from = (size_t)(at - w->text.p);
    w->to = w->search = w->from + w->p->text.n;
    return true;
}

bool pattern_next(struct pattern_walk *w, struct span *s)
{
    if (!w->found && !w->over) {
        w->found = find(w);
        w->over = !w->found;
    }
    if (w->over || w->from > w->done) {
        size_t to = w->over ? w->text.n : w->from;
        *s = (struct span){w->done, to, false};
        w->done = to;
        return s->to > s->from;
    }
    *s = (struct span){w->from, w->to, true};
    w->done = w->to;
    w->found = false;
    return true;
}

/* ---- splitting ---- */

static const char *const behaviors[] = {[SPLIT_REMOVED] = "Removed",
                                        [SPLIT_ISOLATED] = "Isolated",
                                        [SPLIT_PREVIOUS] = "MergedWithPrevious",
                                        [SPLIT_NEXT] = "MergedWithNext",
                                        [SPLIT_CONTIGUOUS] = "Contiguous"};

int behavior_of_json(const json_t *j, const char *where, enum behavior *out, struct lathe_err *err)
{
    const char *name = json_is_string(j) ? json_string_value(j) : "";
    for (int i = 0; i <= SPLIT_CONTIGUOUS; i++)
        if (strcmp(behaviors[i], name) == 0) {
            *out = (enum behavior)i;
            return 0;
        }
    return err_set(err, LATHE_E_UNSUPPORTED,
                   "%s: behavior '%s' is none of Removed, Isolated, MergedWithPrevious, MergedWithNext, "
                   "Contiguous",
                   where, name);
}

/* Whether a span joins the one before it, which is held back until that is known. `before`: it was a match. */
static bool joins(enum behavior b, bool before, bool match)
{
    switch (b) {
    case SPLIT_PREVIOUS:
        return match && !before;
    case SPLIT_NEXT:
        return before && !match;
    case SPLIT_CONTIGUOUS:
        return match == before;
    default:
        return false;
    }
}

int pattern_split(const struct pattern *p, struct str text, bool invert, enum behavior b, split_piece *piece,
                  void *user)
{
    struct pattern_walk w;
    struct span s, held = {0};
    bool has = false, before = false;
    int rc = 0;
    pattern_start(&w, p, text);
    while (!rc && pattern_next(&w, &s)) {
        s.match = s.match != invert;
        if (has && joins(b, before, s.match)) {
            held.to = s.to;
        } else {
            if (has && held.to > held.from)
                rc = piece(user, held.from, held.to);
            has = b != SPLIT_REMOVED || !s.match;
            held = s;
        }
        before = s.match;
    }
    if (!rc && has && held.to > held.from)
        rc = piece(user, held.from, held.to);
    pattern_stop(&w);
    return rc;
}
