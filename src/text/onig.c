/* Oniguruma's expressions, which tokenizer.json has, in PCRE2's syntax.
 *
 * Most of it is the same. Translated are classes whose members differ (\s \w \h and their opposites), the escape \uHHHH, {,n}, and
 * a + behind {n,m}, which repeats there and is possessive here. What would mean something else without an error (options
 * that are called differently, sets within sets but for unions and A&&[B]) is refused by name. `\s+$` would scan a long run of spaces once per start:
 * since a run that has no match from its start on has none at all, it begins only there, or where the match before ended. */
#include "base/mem.h"
#include "text/pattern.h"

#define SPACE "\\p{Z}\\t-\\r\\x{85}"
#define WORD                                                                                             \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{" \
    "1F170}-\\x{1F189}"
#define HEX "0-9A-Fa-f"

#define WORD_ALONE WORD "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}" /* outside of a set it counts these too */
#define NOT_SPACE                                                                                            \
    "\\x{0}-\\x{8}\\x{E}-\\x{1F}\\x{21}-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}" \
    "-\\x{2027}"                                                                                             \
    "\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{10FFFF}"

static const struct escape {
    char c;
    const char *inside, *alone; /* in a set, and outside of one; NULL: refused */
} escapes[] = {{'s', SPACE, "[" SPACE "]"},     {'S', NOT_SPACE, "[^" SPACE "]"},
               {'w', WORD, "[" WORD_ALONE "]"}, {'W', NULL, "[^" WORD_ALONE "]"},
               {'h', HEX, "[" HEX "]"},         {'H', NULL, "[^" HEX "]"}};

/* Names of \p{...} and of [:...:] that are no scripts and no general categories. */
static const struct property {
    const char *name, *inside;
} properties[] = {
    {"alpha", "\\p{Alphabetic}"},
    {"alphabetic", "\\p{Alphabetic}"},
    {"alnum", "\\p{Alphabetic}\\p{Nd}"},
    {"digit", "\\p{Nd}"},
    {"punct", "\\p{P}\\p{S}"},
    {"space", SPACE},
    {"white_space", SPACE},
    {"upper", "\\p{Uppercase}"},
    {"uppercase", "\\p{Uppercase}"},
    {"lower", "\\p{Lowercase}"},
    {"lowercase", "\\p{Lowercase}"},
    {"word", WORD},
    {"xdigit", HEX},
    {"any", "\\x{0}-\\x{10FFFF}"},
    {"letter", "\\p{L}"},
    {"mark", "\\p{M}"},
    {"number", "\\p{N}"},
    {"punctuation", "\\p{P}"},
    {"symbol", "\\p{S}"},
    {"separator", "\\p{Z}"},
};

static const char *property(struct str name)
{
    for (size_t k = 0; k < sizeof properties / sizeof *properties; k++)
        if (strlen(properties[k].name) == name.n && strncasecmp(properties[k].name, name.p, name.n) == 0)
            return properties[k].inside;
    return NULL;
}

struct onig {
    struct str in;
    size_t i;
    struct buf *out;
    const char *where;
    struct lathe_err *err;
    bool in_class;
    int depth; /* sets within it */
};

static int refuse(struct onig *o, const char *what)
{
    return err_set(o->err, LATHE_E_UNSUPPORTED,
                   "%s: the expression '" STR_FMT "' has %s, which is not supported", o->where,
                   STR_ARG(o->in), what);
}

static bool ahead(const struct onig *o, const char *s)
{
    size_t n = strlen(s);
    return o->in.n - o->i >= n && memcmp(o->in.p + o->i, s, n) == 0;
}

static int put_hex(struct onig *o)
{
    if (o->in.n - o->i < 6)
        return refuse(o, "an escape \\u without four digits");
    for (size_t k = 2; k < 6; k++)
        if (!strchr("0123456789abcdefABCDEF", o->in.p[o->i + k]))
            return refuse(o, "an escape \\u without four digits");
    buf_puts(o->out, "\\x{");
    buf_put(o->out, o->in.p + o->i + 2, 4);
    o->i += 6;
    return buf_puts(o->out, "}");
}

/* A script's name means its characters alone, not those that it shares. */
static int put_property(struct onig *o, bool opposite)
{
    const char *open = o->in.p + o->i + 2, *end = memchr(open, '}', o->in.n - o->i - 2);
    if (!end || *open != '{')
        return refuse(o, "\\p without a name in braces");
    struct str name = {open + 1, (size_t)(end - open) - 1};
    o->i += 2 + (size_t)(end - open) + 1;
    if (name.n && *name.p == '^') {
        opposite = !opposite;
        name = (struct str){name.p + 1, name.n - 1};
    }
    const char *inside = property(name);
    if (inside && opposite && o->in_class)
        return refuse(o, "the opposite of a property in a set");
    if (inside)
        return o->in_class ? buf_puts(o->out, inside)
                           : buf_printf(o->out, "[%s%s]", opposite ? "^" : "", inside);
    return buf_printf(o->out, "\\%c{%s" STR_FMT "}", opposite ? 'P' : 'p', name.n > 2 ? "sc:" : "",
                      STR_ARG(name));
}

static int put_escape(struct onig *o)
{
    char c = o->i + 1 < o->in.n ? o->in.p[o->i + 1] : 0;
    if (!c)
        return refuse(o, "a backslash at its end");
    for (size_t k = 0; k < sizeof escapes / sizeof *escapes; k++) {
        const struct escape *e = &escapes[k];
        if (e->c != c)
            continue;
        o->i += 2;
        const char *to = o->in_class ? e->inside : e->alone;
        return to ? buf_puts(o->out, to) : refuse(o, "\\W or \\H in a set");
    }
    if (strchr("bB", c) && !o->in_class) { /* the border of what \\w is there */
        o->i += 2;
        return buf_puts(o->out, c == 'b' ? "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))"
                                         : "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))");
    }
    if (c == 'u')
        return put_hex(o);
    if (c == 'x' && o->i + 2 < o->in.n && o->in.p[o->i + 2] != '{' && o->in.p[o->i + 2] >= '8')
        return refuse(o, "a byte that is no ASCII as \\x");
    if (strchr("RXKOyYkgGCMcN", c))
        return refuse(o, (char[]){'\\', c, 0});
    if (strchr("pP", c))
        return put_property(o, c == 'P');
    size_t n = 2;
    if (c == 'x' && o->i + 2 < o->in.n && o->in.p[o->i + 2] == '{')
        while (o->i + n < o->in.n && o->in.p[o->i + n++] != '}')
            ;
    buf_put(o->out, o->in.p + o->i, n);
    o->i += n;
    return 0;
}

/* {n}, {n,}, {n,m}, {,m} at `i`; anything else is text. */
static int put_braces(struct onig *o)
{
    size_t k = o->i + 1, from = k;
    while (k < o->in.n && ((o->in.p[k] >= '0' && o->in.p[k] <= '9') || o->in.p[k] == ','))
        k++;
    if (k == from || k >= o->in.n || o->in.p[k] != '}') {
        o->i++;
        return buf_puts(o->out, "\\{");
    }
    struct str inside = {o->in.p + from, k - from};
    bool plus = k + 1 < o->in.n && o->in.p[k + 1] == '+', low = inside.p[0] == '0' || inside.p[0] == '1';
    const char *comma = memchr(inside.p, ',', inside.n);
    o->i = k + 1;
    if (!plus) {
        buf_puts(o->out, *inside.p == ',' ? "{0" : "{");
        buf_put(o->out, inside.p, inside.n);
        return buf_puts(o->out, "}");
    }
    o->i++;
    if (!low || (comma ? comma - inside.p != 1 : inside.n != 1)) /* n times something, again and again */
        return refuse(o, "a + behind a repeat of two and more");
    return buf_printf(o->out, "{%c,}", *inside.p);
}

static int put_in_class(struct onig *o)
{
    char c = o->in.p[o->i];
    if (c == '\\')
        return put_escape(o);
    if (c == '[') {
        const char *end = ahead(o, "[:") ? memmem(o->in.p + o->i, o->in.n - o->i, ":]", 2) : NULL;
        struct str name = {o->in.p + o->i + 2, end ? (size_t)(end - (o->in.p + o->i)) - 2 : 0};
        const char *inside = end && name.n < 10 ? property(name) : NULL;
        if (inside) {
            o->i += name.n + 4;
            return buf_puts(o->out, inside);
        }
        if (ahead(o, "[:") || ahead(o, "[^"))
            return refuse(o, "a set within a set that is no union");
        o->depth++; /* the members of a set within a set are the outer one's */
        o->i++;
        return 0;
    }
    o->i++;
    if (c == ']' && o->depth > 0) {
        o->depth--;
        return 0;
    }
    if (c == ']')
        o->in_class = false;
    return buf_putc(o->out, c);
}

/* Past the set that begins at `i`, which is a '['; 0 if it has no end. `both`: the first && in it that is not in a set within. */
static size_t set_end(struct str in, size_t i, size_t *both)
{
    int depth = 0;
    *both = 0;
    for (; i < in.n; i++) {
        char c = in.p[i];
        bool first = i > 0 && (in.p[i - 1] == '[' || (in.p[i - 1] == '^' && i > 1 && in.p[i - 2] == '['));
        if (c == '\\')
            i++;
        else if (c == '[')
            depth++;
        else if (c == ']' && !(first && depth == 1) && --depth == 0)
            return i + 1;
        else if (c == '&' && depth == 1 && !*both && i + 1 < in.n && in.p[i + 1] == '&')
            *both = i;
    }
    return 0;
}

static int put_all(struct onig *o);

/* [A&&[B]] as (?:(?=[B])[A]), and with (?! for [^B]. */
static int put_intersection(struct onig *o, size_t both, size_t end)
{
    struct buf b;
    size_t inner = both + 2, no_both;
    bool is_set = inner < end && o->in.p[inner] == '[' && set_end(o->in, inner, &no_both) == end - 1;
    bool opposite = is_set && o->in.p[inner + 1] == '^';
    if (!is_set || o->in.p[o->i + 1] == '^' || no_both)
        return refuse(o, "an intersection (&&) of other than two sets");
    buf_init(&b, (size_t)1 << 20);
    buf_puts(&b, opposite ? "(?:(?![" : "(?:(?=[");
    inner += opposite ? 2 : 1;
    buf_put(&b, o->in.p + inner, end - 1 - inner);
    buf_putc(&b, ')');
    buf_put(&b, o->in.p + o->i, both - o->i);
    buf_puts(&b, "])");
    struct onig parts = {.in = {b.p, b.n}, .out = o->out, .where = o->where, .err = o->err};
    int rc = put_all(&parts);
    buf_free(&b);
    o->i = end;
    return rc;
}

static int put_group(struct onig *o)
{
    static const char *const known[] = {"(?:", "(?=",  "(?!",  "(?<=", "(?<!",
                                        "(?>", "(?i:", "(?i)", "(?#",  "(?-i:"};
    bool ok = !ahead(o, "(?") && !ahead(o, "(*");
    for (size_t k = 0; !ok && k < sizeof known / sizeof *known; k++)
        ok = ahead(o, known[k]);
    if (!ok)
        return refuse(o, "a group of a kind other than (?: (?= (?! (?<= (?<! (?> (?i");
    o->i++;
    return buf_putc(o->out, '(');
}

/* Whether the n bytes here are a whole alternative of the expression. */
static bool is_alternative(const struct onig *o, size_t n)
{
    size_t i = o->i;
    bool begins = i == 0 || (o->in.p[i - 1] == '|' && (i < 2 || o->in.p[i - 2] != '\\'));
    return begins && (i + n == o->in.n || o->in.p[i + n] == '|');
}

static int put_one(struct onig *o)
{
    char c = o->in.p[o->i];
    if (o->in_class)
        return put_in_class(o);
    if (ahead(o, "\\s+$") && is_alternative(o, 4)) {
        o->i += 4;
        return buf_puts(o->out, "(?:(?<![" SPACE "])|\\G)[" SPACE "]+$");
    }
    if (c == '\\')
        return put_escape(o);
    if (c == '{')
        return put_braces(o);
    if (c == '(')
        return put_group(o);
    size_t both = 0, end = c == '[' ? set_end(o->in, o->i, &both) : 0;
    if (end && both)
        return put_intersection(o, both, end);
    o->i++;
    if (c != '[')
        return buf_putc(o->out, c);
    o->in_class = true;
    o->depth = 0;
    buf_putc(o->out, '[');
    if (ahead(o, "^")) {
        o->i++;
        buf_putc(o->out, '^');
    }
    if (ahead(o, "]")) {
        o->i++;
        return buf_puts(o->out, "\\]");
    }
    return 0;
}

static int put_all(struct onig *o)
{
    int rc = 0;
    while (!rc && o->i < o->in.n)
        rc = put_one(o);
    return rc;
}

int onig_translate(struct str source, const char *where, char **out, size_t *n_out, struct lathe_err *err)
{
    struct buf b;
    struct onig o = {.in = source, .out = &b, .where = where, .err = err};
    *out = NULL;
    buf_init(&b, (size_t)1 << 20);
    int rc = put_all(&o);
    if (!rc && b.full)
        rc = refuse(&o, "too much text");
    if (!rc)
        *out = buf_take(&b, n_out);
    buf_free(&b);
    return rc;
}
