/* Jinja: methods of strings, as Python has them; those that search are in jinja_find.c. */
#include "text/jinja.h"
#include "base/utf8.h"

static jval keep(struct jn *j, struct str s)
{
    return jn_str_keep(j, s.p, s.n);
}

static struct str need_str(struct jn *j, jval v)
{
    if (v.kind != JN_STR)
        jn_fail(j, "wanted a string, not %s", jn_kind_name(v));
    return jn_s(v);
}

#define RECASE(name, how)                                                         \
    static jval name(struct jn *j, jval self, jval *a, const struct jn_args *raw) \
    {                                                                             \
        return jn_recase(j, jn_s(self), how);                                     \
    }
RECASE(s_upper, JN_UPPER)
RECASE(s_lower, JN_LOWER)
RECASE(s_title, JN_TITLE)
RECASE(s_capitalize, JN_CAPITALIZE)
RECASE(s_swapcase, JN_SWAP)
RECASE(s_casefold, JN_CASEFOLD)

static jval strip(struct jn *j, jval self, jval chars, bool left, bool right)
{
    struct str set;
    bool given = jn_given(chars) && chars.kind != JN_NONE;
    if (given)
        set = need_str(j, chars);
    jn_work(j, self.s->n / 16);
    return keep(j, jn_trim(jn_s(self), given ? &set : NULL, left, right));
}

static jval s_strip(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return strip(j, self, a[0], true, true);
}

static jval s_lstrip(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return strip(j, self, a[0], true, false);
}

static jval s_rstrip(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return strip(j, self, a[0], false, true);
}

/* ---- classes ---- */

static bool all_are(jval v, bool (*is)(uint32_t), bool empty)
{
    if (!v.s->n)
        return empty;
    for (size_t i = 0; i < v.s->n;) {
        uint32_t c = 0xfffd;
        int step = utf8_get(v.s->p + i, v.s->n - i, &c);
        if (!is(c))
            return false;
        i += step ? (size_t)step : 1;
    }
    return true;
}

static bool is_alnum(uint32_t c)
{
    return jn_is_alpha(c) || jn_is_numeric(c);
}

static bool is_ascii(uint32_t c)
{
    return c < 0x80;
}

#define CLASS(name, is, empty)                                                    \
    static jval name(struct jn *j, jval self, jval *a, const struct jn_args *raw) \
    {                                                                             \
        jn_work(j, self.s->n / 16);                                               \
        return jn_bool(all_are(self, is, empty));                                 \
    }
CLASS(s_isdigit, jn_is_digit, false)
CLASS(s_isdecimal, jn_is_decimal, false)
CLASS(s_isnumeric, jn_is_numeric, false)
CLASS(s_isalpha, jn_is_alpha, false)
CLASS(s_isalnum, is_alnum, false)
CLASS(s_isspace, jn_is_space, false)
CLASS(s_isascii, is_ascii, true)
CLASS(s_isprintable, jn_is_printable, true)

static jval s_isupper(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct jn_args none = {0};
    return jn_bool(jn_apply_test(j, jn_find_func(jn_tests, STR("upper")), self, &none));
}

static jval s_islower(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct jn_args none = {0};
    return jn_bool(jn_apply_test(j, jn_find_func(jn_tests, STR("lower")), self, &none));
}

static jval s_istitle(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    bool any = false, in_word = false;
    for (size_t i = 0; i < self.s->n;) {
        uint32_t c = 0;
        int step = utf8_get(self.s->p + i, self.s->n - i, &c);
        bool upper = jn_is_upper(c) || jn_is_title(c), lower = jn_is_lower(c);
        if ((upper && in_word) || (lower && !in_word))
            return jn_bool(false);
        in_word = upper || lower;
        any = any || in_word;
        i += step ? (size_t)step : 1;
    }
    return jn_bool(any);
}

/* ---- padding ---- */

static jval pad(struct jn *j, jval self, jval *a, int where)
{
    int64_t width = jn_arg_int(j, a[0], 0), n = (int64_t)jn_n_char(self), more = width - n;
    jval fill = jn_given(a[1]) ? a[1] : jn_strz(j, " ");
    need_str(j, fill);
    if (jn_n_char(fill) != 1)
        jn_fail(j, "the fill character must be exactly one character long");
    if (more <= 0)
        return self;
    int64_t left = where < 0 ? 0 : where > 0 ? more : more / 2 + (more & width & 1); /* Python's center */
    return jn_concat(j, jn_concat(j, jn_repeat(j, fill, left), self), jn_repeat(j, fill, more - left));
}

static jval s_ljust(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return pad(j, self, a, -1);
}

static jval s_rjust(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return pad(j, self, a, 1);
}

static jval s_center(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return pad(j, self, a, 0);
}

static jval s_zfill(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    int64_t more = jn_arg_int(j, a[0], 0) - (int64_t)jn_n_char(self);
    struct str s = jn_s(self);
    size_t sign = s.n && (s.p[0] == '-' || s.p[0] == '+');
    if (more <= 0)
        return self;
    jval head = jn_concat(j, jn_str(j, s.p, sign), jn_repeat(j, jn_strz(j, "0"), more));
    return jn_concat(j, head, jn_str_keep(j, s.p + sign, s.n - sign));
}

/* ---- joining ---- */

static jval s_join(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct jn_iter it = jn_iter(j, a[0]);
    struct jn_out o = {0};
    jval item;
    for (bool first = true; jn_next(j, &it, &item); first = false) {
        if (!first)
            jn_put(j, &o, self.s->p, self.s->n);
        if (item.kind != JN_STR)
            jn_fail(j, "join: expected a string, %s found", jn_kind_name(item));
        item = self.s->safe ? jn_escape(j, item) : item;
        jn_put(j, &o, item.s->p, item.s->n);
    }
    return jn_out_str(j, &o);
}

static jval s_format(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return jn_format(j, self, raw);
}

static jval s_removeprefix(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct str s = jn_s(self), p = need_str(j, a[0]);
    if (s.n >= p.n && str_eq((struct str){s.p, p.n}, p))
        return jn_str_keep(j, s.p + p.n, s.n - p.n);
    return self;
}

static jval s_removesuffix(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct str s = jn_s(self), p = need_str(j, a[0]);
    if (s.n >= p.n && str_eq((struct str){s.p + s.n - p.n, p.n}, p))
        return jn_str_keep(j, s.p, s.n - p.n);
    return self;
}

/* Length of the line end at p[i] (any that Python knows), or 0. */
static size_t line_end(struct str s, size_t i)
{
    uint32_t c = 0;
    int step = utf8_get(s.p + i, s.n - i, &c);
    if (c == '\r' && i + 1 < s.n && s.p[i + 1] == '\n')
        return 2;
    bool end =
        (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
    return step && end ? (size_t)step : 0;
}

static jval s_splitlines(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct str s = jn_s(self);
    bool ends = jn_given(a[0]) && jn_truth(a[0]);
    jval out = jn_list(j, JN_LIST, 0);
    size_t from = 0;
    jn_work(j, s.n / 16);
    for (size_t i = 0; i < s.n;) {
        size_t end = line_end(s, i);
        if (!end) {
            i++;
            continue;
        }
        jn_push(j, out, jn_str_keep(j, s.p + from, i - from + (ends ? end : 0)));
        i += end;
        from = i;
    }
    if (from < s.n)
        jn_push(j, out, jn_str_keep(j, s.p + from, s.n - from));
    return out;
}

const struct jn_func jn_str_methods[] = {
    {"strip", s_strip, "/ chars?"},
    {"lstrip", s_lstrip, "/ chars?"},
    {"rstrip", s_rstrip, "/ chars?"},
    {"upper", s_upper, "/"},
    {"lower", s_lower, "/"},
    {"title", s_title, "/"},
    {"capitalize", s_capitalize, "/"},
    {"swapcase", s_swapcase, "/"},
    {"casefold", s_casefold, "/"},
    {"isdigit", s_isdigit, "/"},
    {"isdecimal", s_isdecimal, "/"},
    {"isnumeric", s_isnumeric, "/"},
    {"isalpha", s_isalpha, "/"},
    {"isalnum", s_isalnum, "/"},
    {"isspace", s_isspace, "/"},
    {"isascii", s_isascii, "/"},
    {"isprintable", s_isprintable, "/"},
    {"isupper", s_isupper, "/"},
    {"islower", s_islower, "/"},
    {"istitle", s_istitle, "/"},
    {"ljust", s_ljust, "/ width fillchar?"},
    {"rjust", s_rjust, "/ width fillchar?"},
    {"center", s_center, "/ width fillchar?"},
    {"zfill", s_zfill, "/ width"},
    {"join", s_join, "/ iterable"},
    {"format", s_format, "*"},
    {"removeprefix", s_removeprefix, "/ prefix"},
    {"removesuffix", s_removesuffix, "/ suffix"},
    {"splitlines", s_splitlines, "keepends?"},
    {0},
};
