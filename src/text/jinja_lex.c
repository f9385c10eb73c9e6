/* Jinja: template text to tokens, with trim_blocks, lstrip_blocks and the signs that override them. */
#include "text/jinja.h"
#include "base/utf8.h"
#include <math.h>
#include <errno.h>
#include <stdlib.h>

struct lex {
    struct jn *j;
    const char *p; /* source with '\n' as its only line end, without the last one */
    size_t n, at;
    int line;
    bool line_start; /* the token before ended with a newline, or there is none */
};

static struct jn_token *emit(struct lex *x, enum jn_token_kind kind)
{
    struct jn *j = x->j;
    if (j->n_tok == j->cap_tok) {
        int cap = j->cap_tok ? j->cap_tok * 2 : 256;
        struct jn_token *t = jn_alloc(j, (size_t)cap * sizeof *t);
        if (j->n_tok)
            memcpy(t, j->tok, (size_t)j->n_tok * sizeof *t);
        j->tok = t;
        j->cap_tok = cap;
    }
    struct jn_token *t = &j->tok[j->n_tok++];
    *t = (struct jn_token){.kind = kind, .line = x->line};
    j->line = x->line;
    return t;
}

static void advance(struct lex *x, size_t to)
{
    jn_work(x->j, (to - x->at) / 16);
    for (; x->at < to; x->at++)
        x->line += x->p[x->at] == '\n';
}

static bool at(const struct lex *x, size_t i, const char *z)
{
    size_t n = strlen(z);
    return x->n - i >= n && memcmp(x->p + i, z, n) == 0;
}

/* Length of the white space character at i, or 0. */
static size_t space_at(const struct lex *x, size_t i)
{
    uint32_t c;
    int step = i < x->n ? utf8_get(x->p + i, x->n - i, &c) : 0;
    return step && jn_is_space(c) ? (size_t)step : 0;
}

static size_t skip_space(const struct lex *x, size_t i)
{
    for (size_t step; (step = space_at(x, i));)
        i += step;
    return i;
}

/* Emits data [from, to) in front of a tag with the given sign, trimmed as the sign and lstrip_blocks say. */
static void data(struct lex *x, size_t from, size_t to, char sign, bool is_variable)
{
    struct str s = {x->p + from, to - from};
    if (sign == '-') {
        s = jn_trim(s, NULL, false, true);
    } else if (sign != '+' && !is_variable) {
        size_t line = s.n;
        while (line > 0 && s.p[line - 1] != '\n')
            line--;
        struct str rest = {s.p + line, s.n - line};
        if ((line > 0 || x->line_start) && rest.n && jn_trim(rest, NULL, true, false).n == 0)
            s.n = line;
    }
    if (s.n)
        emit(x, T_DATA)->s = s;
    advance(x, to);
}

/* ---- inside of tags ---- */

static bool is_name_start(unsigned char c)
{
    return c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z') || c >= 0x80;
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static int digit_of(unsigned char c)
{
    return is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;
}

static void lex_name(struct lex *x)
{
    size_t to = x->at;
    while (to < x->n && (is_name_start((unsigned char)x->p[to]) || is_digit((unsigned char)x->p[to])))
        to++;
    emit(x, T_NAME)->s = (struct str){x->p + x->at, to - x->at};
    advance(x, to);
}

/* Digits with single underscores between them; the end, and the digits in buf. */
static size_t digits(struct lex *x, size_t i, char *buf, size_t *n_buf)
{
    while (i < x->n && (is_digit((unsigned char)x->p[i]) ||
                        (x->p[i] == '_' && i + 1 < x->n && is_digit((unsigned char)x->p[i + 1])))) {
        if (x->p[i] != '_' && *n_buf < 400)
            buf[(*n_buf)++] = x->p[i];
        i++;
    }
    return i;
}

static bool lex_prefixed(struct lex *x)
{
    int base = at(x, x->at, "0x") || at(x, x->at, "0X")   ? 16
               : at(x, x->at, "0o") || at(x, x->at, "0O") ? 8
               : at(x, x->at, "0b") || at(x, x->at, "0B") ? 2
                                                          : 0;
    if (!base)
        return false;
    size_t i = x->at + 2;
    uint64_t v = 0;
    int n = 0;
    for (; i < x->n; i++) {
        unsigned char c = (unsigned char)x->p[i];
        int digit = c == '_' ? -1 : digit_of(c);
        if (digit >= base)
            break;
        if (digit < 0)
            continue;
        if (v > (uint64_t)INT64_MAX / (uint64_t)base - 1)
            jn_fail(x->j, "integer literal is too large");
        v = v * (uint64_t)base + (uint64_t)digit;
        n++;
    }
    if (!n)
        return false;
    emit(x, T_INT)->num = jn_int((int64_t)v);
    advance(x, i);
    return true;
}

static void lex_number(struct lex *x)
{
    char buf[512];
    size_t n = 0;
    if (lex_prefixed(x))
        return;
    size_t i = digits(x, x->at, buf, &n);
    bool is_float = false, after_dot = x->at > 0 && x->p[x->at - 1] == '.'; /* of "a.0.1": no float */
    if (!after_dot && i + 1 < x->n && x->p[i] == '.' && is_digit((unsigned char)x->p[i + 1])) {
        buf[n++] = '.';
        i = digits(x, i + 1, buf, &n);
        is_float = true;
    }
    size_t e = i + 1 + (i + 1 < x->n && (x->p[i + 1] == '+' || x->p[i + 1] == '-'));
    if (!after_dot && i < x->n && (x->p[i] | 32) == 'e' && e < x->n && is_digit((unsigned char)x->p[e])) {
        buf[n++] = 'e';
        if (e == i + 2)
            buf[n++] = x->p[i + 1];
        i = digits(x, e, buf, &n);
        is_float = true;
    }
    buf[n] = 0;
    if (is_float) {
        emit(x, T_FLOAT)->num = jn_float(strtod(buf, NULL));
    } else {
        char *end;
        errno = 0;
        long long v = strtoll(buf, &end, 10);
        if (errno)
            jn_fail(x->j, "integer literal %s is too large", buf);
        emit(x, T_INT)->num = jn_int(v);
    }
    advance(x, i);
}

/* Value of up to `max` digits of `base` at i. */
static size_t escape_digits(const char *p, size_t n, size_t i, int base, int max, uint32_t *v)
{
    size_t from = i;
    *v = 0;
    for (; i < n && i < from + (size_t)max; i++) {
        unsigned char c = (unsigned char)p[i];
        int d = digit_of(c);
        if (d >= base)
            break;
        *v = *v * (uint32_t)base + (uint32_t)d;
    }
    return i - from;
}

/* One escape after the backslash at p[i-1]; writes its bytes and returns the place after it. */
static size_t escape(struct jn *j, const char *p, size_t n, size_t i, char *out, size_t *k)
{
    static const char from[] = "ntr\\'\"abfv", to[] = "\n\t\r\\'\"\a\b\f\v";
    const char *hit = memchr(from, p[i], sizeof from - 1);
    uint32_t c;
    if (hit) {
        out[(*k)++] = to[hit - from];
        return i + 1;
    }
    if (p[i] == '\n')
        return i + 1;
    if (p[i] >= '0' && p[i] <= '7') {
        i += escape_digits(p, n, i, 8, 3, &c);
        *k += (size_t)utf8_put(c, out + *k);
        return i;
    }
    size_t want = p[i] == 'x' ? 2 : p[i] == 'u' ? 4 : p[i] == 'U' ? 8 : 0;
    if (want) {
        if (escape_digits(p, n, i + 1, 16, (int)want, &c) != want || c > 0x10ffff)
            jn_fail(j, "truncated or invalid \\%c escape in a string", p[i]);
        if ((c & 0xfffff800) == 0xd800) /* half of a pair has no UTF-8 form */
            c = 0xfffd;
        *k += (size_t)utf8_put(c, out + *k);
        return i + 1 + want;
    }
    if (p[i] == 'N')
        jn_fail(j, "\\N escapes in strings are not supported");
    out[(*k)++] = '\\';
    return i; /* the character itself is copied as usual */
}

static void lex_string(struct lex *x)
{
    char quote = x->p[x->at];
    size_t from = x->at + 1, to = from;
    bool escapes = false;
    while (to < x->n && x->p[to] != quote) {
        escapes = escapes || x->p[to] == '\\';
        to += x->p[to] == '\\' ? 2 : 1;
    }
    if (to >= x->n)
        jn_fail(x->j, "string without its end");
    struct str s = {x->p + from, to - from};
    if (escapes) {
        char *out = jn_alloc(x->j, s.n + 4);
        size_t k = 0;
        for (size_t i = 0; i < s.n;) {
            if (s.p[i] == '\\' && i + 1 < s.n)
                i = escape(x->j, s.p, s.n, i + 1, out, &k);
            else
                out[k++] = s.p[i++];
        }
        s = (struct str){out, k};
    }
    emit(x, T_STR)->s = s;
    advance(x, to + 1);
}

static void lex_operator(struct lex *x)
{
    static const char *const two[] = {"//", "**", "==", "!=", ">=", "<="};
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (at(x, x->at, two[i])) {
            emit(x, T_OP)->op = OP2(two[i][0], two[i][1]);
            advance(x, x->at + 2);
            return;
        }
    if (!strchr("+-/*%~[](){}><=.:|,;", x->p[x->at]) || !x->p[x->at])
        jn_fail(x->j, "unexpected character '%c'", x->p[x->at]);
    emit(x, T_OP)->op = x->p[x->at];
    advance(x, x->at + 1);
}

static void brace(struct lex *x, char *stack, int *depth)
{
    char c = x->p[x->at];
    if (strchr("([{", c)) {
        if (*depth == JN_PARSE_LIMIT)
            jn_limit(x->j, "brackets are nested deeper than %d", JN_PARSE_LIMIT);
        stack[(*depth)++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (strchr(")]}", c)) {
        if (*depth == 0 || stack[*depth - 1] != c)
            jn_fail(x->j, "unexpected '%c'", c);
        (*depth)--;
    }
}

/* Whether the tag ends here; the end is consumed with the white space that belongs to it. */
static bool lex_end(struct lex *x, bool is_block)
{
    const char *end = is_block ? "%}" : "}}";
    size_t i = x->at;
    char sign = x->p[i] == '-' || (is_block && x->p[i] == '+') ? x->p[i] : 0;
    if (!at(x, i + (sign != 0), end))
        return false;
    emit(x, is_block ? T_BLOCK_END : T_VAR_END);
    i += 2 + (sign != 0);
    if (sign == '-')
        i = skip_space(x, i);
    else if (is_block && !sign && i < x->n && x->p[i] == '\n')
        i++;
    advance(x, i);
    x->line_start = x->p[i - 1] == '\n';
    return true;
}

static void lex_tag(struct lex *x, bool is_block)
{
    char stack[JN_PARSE_LIMIT];
    int depth = 0;
    for (;;) {
        advance(x, skip_space(x, x->at));
        if (x->at >= x->n)
            jn_fail(x->j, "the template ends inside of a tag");
        if (depth == 0 && lex_end(x, is_block))
            return;
        unsigned char c = (unsigned char)x->p[x->at];
        if (is_name_start(c)) {
            lex_name(x);
        } else if (is_digit(c)) {
            lex_number(x);
        } else if (c == '"' || c == '\'') {
            lex_string(x);
        } else {
            if (c)
                brace(x, stack, &depth);
            lex_operator(x);
        }
    }
}

/* ---- outside of tags ---- */

/* The place after "{%- name -%}" without its end's white space, or 0; *sign is the one in front. */
static size_t bare_tag(struct lex *x, size_t i, const char *name, char *sign, char *end_sign)
{
    *sign = *end_sign = 0;
    if (!at(x, i, "{%"))
        return 0;
    i += 2;
    if (i < x->n && (x->p[i] == '-' || x->p[i] == '+'))
        *sign = x->p[i++];
    i = skip_space(x, i);
    if (!at(x, i, name))
        return 0;
    i = skip_space(x, i + strlen(name));
    if (i < x->n && (x->p[i] == '-' || x->p[i] == '+') && at(x, i + 1, "%}"))
        *end_sign = x->p[i++];
    return at(x, i, "%}") ? i + 2 : 0;
}

static void lex_raw(struct lex *x, size_t body)
{
    char sign, end_sign;
    advance(x, body);
    if (body == x->n)
        return;
    for (size_t i = body; i < x->n; i++) {
        const char *hit = memchr(x->p + i, '{', x->n - i);
        if (!hit)
            break;
        i = (size_t)(hit - x->p);
        size_t end = bare_tag(x, i, "endraw", &sign, &end_sign);
        if (!end)
            continue;
        data(x, body, i, sign, false);
        if (end_sign == '-')
            end = skip_space(x, end);
        else if (!end_sign && end < x->n && x->p[end] == '\n')
            end++;
        advance(x, end);
        x->line_start = x->p[end - 1] == '\n';
        return;
    }
    jn_fail(x->j, "raw block without its end");
}

static void lex_comment(struct lex *x)
{
    const char *hit = memmem(x->p + x->at + 2, x->n - x->at - 2, "#}", 2);
    if (!hit)
        jn_fail(x->j, "comment without its end");
    size_t end = (size_t)(hit - x->p) + 2;
    if (hit[-1] == '-' && hit - 1 >= x->p + x->at + 2)
        end = skip_space(x, end);
    else if (!(hit[-1] == '+' && hit - 1 >= x->p + x->at + 2) && end < x->n && x->p[end] == '\n')
        end++;
    advance(x, end);
    x->line_start = x->p[end - 1] == '\n';
}

/* Next "{{", "{%" or "{#" from i on, or n. */
static size_t next_tag(const struct lex *x, size_t i)
{
    while (i + 1 < x->n) {
        const char *hit = memchr(x->p + i, '{', x->n - i - 1);
        if (!hit)
            break;
        i = (size_t)(hit - x->p);
        if (hit[1] == '{' || hit[1] == '%' || hit[1] == '#')
            return i;
        i++;
    }
    return x->n;
}

static void lex_root(struct lex *x)
{
    while (x->at < x->n) {
        size_t tag = next_tag(x, x->at);
        if (tag == x->n) {
            emit(x, T_DATA)->s = (struct str){x->p + x->at, x->n - x->at};
            advance(x, x->n);
            return;
        }
        char c = x->p[tag + 1], sign, end_sign;
        size_t raw = bare_tag(x, tag, "raw", &sign, &end_sign);
        if (raw && end_sign != '+') {
            data(x, x->at, tag, sign, false);
            x->line_start = false; /* of the text inside: what is before it is the tag */
            lex_raw(x, end_sign == '-' ? skip_space(x, raw) : raw);
            continue;
        }
        sign = tag + 2 < x->n && (x->p[tag + 2] == '-' || x->p[tag + 2] == '+') ? x->p[tag + 2] : 0;
        data(x, x->at, tag, sign, c == '{');
        x->line_start = false;
        if (c == '#') {
            lex_comment(x);
            continue;
        }
        emit(x, c == '{' ? T_VAR : T_BLOCK);
        advance(x, tag + 2 + (sign != 0));
        lex_tag(x, c == '%');
    }
}

void jn_lex(struct jn *j, struct str source)
{
    char *p = jn_alloc(j, source.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < source.n; i++) {
        p[n++] = source.p[i] == '\r' ? '\n' : source.p[i];
        i += source.p[i] == '\r' && i + 1 < source.n && source.p[i + 1] == '\n';
    }
    n -= n && p[n - 1] == '\n';
    struct lex x = {.j = j, .p = p, .n = n, .line = 1, .line_start = true};
    j->line = 1;
    lex_root(&x);
    emit(&x, T_EOF);
}
