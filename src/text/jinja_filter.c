/* Jinja filters over one value; those over sequences are in jinja_filter_seq.c. */
#include "text/jinja.h"
#include "base/utf8.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const struct jn_func *jn_find_func(const struct jn_func *rows, struct str name)
{
    for (; rows->name; rows++)
        if (str_is(name, rows->name))
            return rows;
    return NULL;
}

const struct jn_func *jn_find_filter(struct str name)
{
    const struct jn_func *f = jn_find_func(jn_filters, name);
    return f ? f : jn_find_func(jn_filters_seq, name);
}

int64_t jn_arg_int(struct jn *j, jval v, int64_t absent)
{
    if (!jn_given(v))
        return absent;
    if (v.kind != JN_INT && v.kind != JN_BOOL)
        jn_fail(j, "wanted an integer, not %s", jn_kind_name(v));
    return v.kind == JN_BOOL ? v.b : v.i;
}

static bool flag(jval v, bool absent)
{
    return jn_given(v) ? jn_truth(v) : absent;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct str text(struct jn *j, jval v)
{
    return jn_s(jn_to_str(j, v));
}

/* ---- text ---- */

static jval f_tojson(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct jn_out o = {0};
    jn_put_json(j, &o, v, flag(a[0], false), a[1], a[2], flag(a[3], false));
    return jn_out_str(j, &o);
}

static jval f_trim(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct str chars, s = text(j, v);
    bool given = jn_given(a[0]) && a[0].kind != JN_NONE;
    if (given)
        chars = text(j, a[0]);
    s = jn_trim(s, given ? &chars : NULL, true, true);
    return jn_mark(j, jn_str_keep(j, s.p, s.n), jn_is_safe(v));
}

#define RECASE(name, how)                                                      \
    static jval name(struct jn *j, jval v, jval *a, const struct jn_args *raw) \
    {                                                                          \
        return jn_mark(j, jn_recase(j, text(j, v), how), jn_is_safe(v));       \
    }
RECASE(f_upper, JN_UPPER)
RECASE(f_lower, JN_LOWER)
RECASE(f_capitalize, JN_CAPITALIZE)

/* Words begin after white space, '-' and opening brackets; unlike str.title() an apostrophe begins none. */
static jval f_title(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct str s = text(j, v);
    jval out = jn_strz(j, "");
    for (size_t i = 0; i < s.n;) {
        size_t from = i;
        uint32_t c = 0;
        int step = 1;
        for (; i < s.n; i += (size_t)step) { /* separators */
            step = utf8_get(s.p + i, s.n - i, &c);
            step = step ? step : 1;
            if (!(c < 0x80 && c && strchr("-({[<", (int)c)) && !jn_is_space(c))
                break;
        }
        out = jn_concat(j, out, jn_str_keep(j, s.p + from, i - from));
        if (i >= s.n)
            break;
        out = jn_concat(j, out, jn_recase(j, (struct str){s.p + i, (size_t)step}, JN_UPPER));
        i += (size_t)step;
        for (from = i; i < s.n; i += (size_t)step) {
            step = utf8_get(s.p + i, s.n - i, &c);
            step = step ? step : 1;
            if ((c < 0x80 && c && strchr("-({[<", (int)c)) || jn_is_space(c))
                break;
        }
        out = jn_concat(j, out, jn_recase(j, (struct str){s.p + from, i - from}, JN_LOWER));
    }
    return out;
}

static jval f_string(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    return jn_to_str(j, v);
}

static jval f_replace(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct jn_args args = {.pos = (jval[]){jn_to_str(j, a[0]), jn_to_str(j, a[1]), a[2]},
                           .n = jn_given(a[2]) && a[2].kind != JN_NONE ? 3 : 2};
    return jn_call_func(j, jn_find_func(jn_str_find_methods, STR("replace")),
                        jn_mark(j, jn_to_str(j, v), false), &args);
}

static jval f_escape(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    return jn_escape(j, jn_to_str(j, v));
}

static jval f_forceescape(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    return jn_escape(j, jn_mark(j, jn_to_str(j, v), false));
}

static jval f_safe(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    return jn_mark(j, jn_to_str(j, v), true);
}

static jval f_indent(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    bool first = flag(a[1], false), blank = flag(a[2], false);
    jval pad =
        jn_given(a[0]) && a[0].kind == JN_STR ? a[0] : jn_repeat(j, jn_strz(j, " "), jn_arg_int(j, a[0], 4));
    struct jn_args none = {0};
    jval lines = jn_call_func(j, jn_find_func(jn_str_methods, STR("splitlines")),
                              jn_concat(j, jn_to_str(j, v), jn_strz(j, "\n")), &none);
    struct jn_out o = {0};
    for (size_t i = 0; i < lines.l->n; i++) {
        struct str line = jn_s(lines.l->v[i]);
        if (i)
            jn_put(j, &o, "\n", 1);
        if (i ? blank || line.n : first)
            jn_put(j, &o, pad.s->p, pad.s->n);
        jn_put(j, &o, line.p, line.n);
    }
    return jn_out_str(j, &o);
}

static jval f_center(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct jn_args args = {.pos = (jval[]){jn_int(jn_arg_int(j, a[0], 80))}, .n = 1};
    return jn_call_func(j, jn_find_func(jn_str_methods, STR("center")), jn_to_str(j, v), &args);
}

static jval f_truncate(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    int64_t length = jn_arg_int(j, a[0], 255), leeway = jn_arg_int(j, a[3], 5);
    bool kill = flag(a[1], false);
    jval s = jn_to_str(j, v), end = jn_given(a[2]) ? jn_to_str(j, a[2]) : jn_strz(j, "...");
    int64_t n_end = (int64_t)jn_n_char(end), n = (int64_t)jn_n_char(s);
    if (length < n_end || leeway < 0)
        jn_fail(j, "truncate: expected length >= %" PRId64 ", got %" PRId64, n_end, length);
    if (n <= length + leeway)
        return s;
    jval cut = jn_slice(j, s, jn_none(), jn_int(length - n_end), jn_none());
    const char *space = kill ? NULL : memrchr(cut.s->p, ' ', cut.s->n);
    if (space)
        cut = jn_str_keep(j, cut.s->p, (size_t)(space - cut.s->p));
    return jn_concat(j, cut, end);
}

static jval f_wordcount(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct str s = text(j, v);
    int64_t n = 0;
    bool in_word = false;
    for (size_t i = 0; i < s.n;) {
        uint32_t c = 0;
        int step = utf8_get(s.p + i, s.n - i, &c);
        bool word = c == '_' || jn_is_alpha(c) || jn_is_numeric(c);
        n += word && !in_word;
        in_word = word;
        i += step ? (size_t)step : 1;
    }
    return jn_int(n);
}

static void quote(struct jn *j, struct jn_out *o, jval v, const char *safe, bool plus)
{
    struct str s = text(j, v);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char hex[4];
        bool keep = jn_is_alpha(c < 0x80 ? c : 0) || is_digit(s.p[i]) || (c && strchr("_.-~", c)) ||
                    (c && strchr(safe, c));
        if (keep)
            jn_put(j, o, s.p + i, 1);
        else if (plus && c == ' ')
            jn_put(j, o, "+", 1);
        else
            jn_put(j, o, hex, (size_t)snprintf(hex, sizeof hex, "%%%02X", c));
    }
}

static jval f_urlencode(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct jn_out o = {0};
    if (v.kind != JN_DICT && !jn_is_seq(v)) {
        quote(j, &o, v, "/", false);
        return jn_out_str(j, &o);
    }
    struct jn_iter it = jn_iter(j, v);
    jval item;
    for (bool first = true; jn_next(j, &it, &item); first = false) {
        jval pair[2] = {item, jn_none()};
        bool found = true;
        if (v.kind == JN_DICT)
            pair[1] = *jn_dict_get(j, v.d, item);
        else if (jn_len(j, item) != 2)
            jn_fail(j, "urlencode: items must be pairs");
        else
            pair[0] = jn_index(j, item, 0, &found), pair[1] = jn_index(j, item, 1, &found);
        if (!first)
            jn_put(j, &o, "&", 1);
        quote(j, &o, pair[0], "", true);
        jn_put(j, &o, "=", 1);
        quote(j, &o, pair[1], "", true);
    }
    return jn_out_str(j, &o);
}

static jval f_format(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    jval args;
    if (raw->n && raw->n_kw)
        jn_fail(j, "can't handle positional and keyword arguments at the same time");
    if (raw->n_kw) {
        args = jn_dict(j);
        for (int i = 0; i < raw->n_kw; i++)
            jn_dict_set(j, args.d, jn_str_keep(j, raw->kw[i].name.p, raw->kw[i].name.n), raw->kw[i].v);
    } else {
        args = jn_list(j, JN_TUPLE, (size_t)raw->n);
        for (int i = 0; i < raw->n; i++)
            jn_push(j, args, raw->pos[i]);
    }
    return jn_percent(j, jn_to_str(j, v), args);
}

static jval f_striptags(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    jn_fail(j, "filter 'striptags' is not supported");
}

/* ---- numbers ---- */

/* int(text, base) of Python: blanks around, a sign, single underscores between digits. */
static bool parse_int(struct str s, int base, int64_t *out)
{
    bool neg = false, any = false;
    uint64_t v = 0;
    s = jn_trim(s, NULL, true, true);
    size_t i = 0;
    if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
        neg = s.p[i++] == '-';
    int mark = i + 1 < s.n && s.p[i] == '0' ? s.p[i + 1] | 32 : 0;
    if ((mark == 'x' && (base == 16 || base == 0)) || (mark == 'o' && (base == 8 || base == 0)) ||
        (mark == 'b' && (base == 2 || base == 0))) {
        base = mark == 'x' ? 16 : mark == 'o' ? 8 : 2;
        i += 2;
    }
    base = base ? base : 10;
    for (; i < s.n; i++) {
        int c = (unsigned char)s.p[i], d = c >= '0' && c <= '9'                 ? c - '0'
                                           : (c | 32) >= 'a' && (c | 32) <= 'z' ? (c | 32) - 'a' + 10
                                                                                : 99;
        if (c == '_' && any && i + 1 < s.n && s.p[i + 1] != '_')
            continue;
        if (d >= base || v > (uint64_t)INT64_MAX / (uint64_t)base - 1)
            return false;
        v = v * (uint64_t)base + (uint64_t)d;
        any = true;
    }
    *out = neg ? -(int64_t)v : (int64_t)v;
    return any;
}

static bool parse_float(struct str s, double *out)
{
    char buf[400], *end;
    size_t n = 0;
    s = jn_trim(s, NULL, true, true);
    if (!s.n || s.n >= sizeof buf)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool between = i && i + 1 < s.n && is_digit(s.p[i - 1]) && is_digit(s.p[i + 1]);
        if (s.p[i] == '_' && between)
            continue;
        if (!s.p[i] || strchr("xXpP(", s.p[i])) /* strtod's hexadecimal and nan(...) */
            return false;
        buf[n++] = s.p[i];
    }
    buf[n] = 0;
    *out = strtod(buf, &end);
    return *end == 0;
}

static _Noreturn void no_number(struct jn *j, jval v)
{
    jn_fail(j, "'%s' is undefined", v.name ? v.name : "value");
}

static jval f_int(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    jval absent = jn_given(a[0]) ? a[0] : jn_int(0);
    int64_t i;
    double f;
    if (v.kind == JN_UNDEFINED)
        no_number(j, v);
    if (v.kind == JN_INT || v.kind == JN_BOOL)
        return jn_int(v.kind == JN_BOOL ? v.b : v.i);
    if (v.kind == JN_STR && parse_int(jn_s(v), (int)jn_arg_int(j, a[1], 10), &i))
        return jn_int(i);
    if (v.kind == JN_FLOAT)
        f = v.f;
    else if (v.kind != JN_STR || !parse_float(jn_s(v), &f))
        return absent;
    if (isnan(f) || isinf(f))
        return absent;
    if (fabs(f) >= 9.2e18)
        jn_fail(j, "int: the number is too large");
    return jn_int((int64_t)f);
}

static jval f_float(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    double f;
    if (v.kind == JN_UNDEFINED)
        no_number(j, v);
    if (v.kind == JN_FLOAT)
        return v;
    if (v.kind == JN_INT || v.kind == JN_BOOL)
        return jn_float(v.kind == JN_BOOL ? v.b : (double)v.i);
    if (v.kind == JN_STR && parse_float(jn_s(v), &f))
        return jn_float(f);
    return jn_given(a[0]) ? a[0] : jn_float(0);
}

static jval f_abs(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    if (v.kind == JN_FLOAT)
        return jn_float(fabs(v.f));
    if (v.kind == JN_BOOL)
        return jn_int(v.b);
    if (v.kind != JN_INT)
        jn_fail(j, "bad operand type for abs(): '%s'", jn_kind_name(v));
    return v.i < 0 ? jn_negate(j, v) : v;
}

/* Correctly rounded to decimals, halves of the exact binary value to even: what printf does. */
static double round_to(double f, int64_t digits)
{
    char buf[400];
    if (isnan(f) || isinf(f) || digits > 30)
        return f;
    if (digits >= 0) {
        snprintf(buf, sizeof buf, "%.*f", (int)digits, f);
        return strtod(buf, NULL);
    }
    double unit = pow(10, (double)-digits);
    return digits < -308 ? 0.0 : nearbyint(f / unit) * unit;
}

static jval f_round(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    int64_t digits = jn_arg_int(j, a[0], 0);
    struct str how = jn_given(a[1]) ? text(j, a[1]) : STR("common");
    if (!str_is(how, "common") && !str_is(how, "ceil") && !str_is(how, "floor"))
        jn_fail(j, "round: method must be common, ceil or floor");
    if (v.kind != JN_INT && v.kind != JN_BOOL && v.kind != JN_FLOAT)
        jn_fail(j, "round: wanted a number, not %s", jn_kind_name(v));
    double f = v.kind == JN_FLOAT ? v.f : v.kind == JN_BOOL ? v.b : (double)v.i;
    if (!str_is(how, "common")) {
        double unit = pow(10, (double)digits);
        double r = str_is(how, "ceil") ? ceil(f * unit) : floor(f * unit);
        return jn_float(r / unit);
    }
    if (v.kind != JN_FLOAT)
        return digits >= 0 ? jn_int(v.kind == JN_BOOL ? v.b : v.i) : jn_int((int64_t)round_to(f, digits));
    return jn_float(round_to(f, digits));
}

static jval f_filesizeformat(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    static const char *const dec[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
    static const char *const bin[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
    double n = f_float(j, v, (jval[]){jn_float(0)}, raw).f, base = flag(a[0], false) ? 1024 : 1000,
           unit = base;
    char buf[64];
    if (n == 1)
        return jn_strz(j, "1 Byte");
    if (n < base) {
        snprintf(buf, sizeof buf, "%.0f Bytes", trunc(n));
        return jn_strz(j, buf);
    }
    for (int i = 0; i < 8; i++) {
        unit *= base;
        if (n < unit || i == 7) {
            snprintf(buf, sizeof buf, "%.1f %s", base * n / unit, base > 1000 ? bin[i] : dec[i]);
            break;
        }
    }
    return jn_strz(j, buf);
}

/* ---- any value ---- */

static jval f_default(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    bool absent = v.kind == JN_UNDEFINED || (flag(a[1], false) && !jn_truth(v));
    return !absent ? v : jn_given(a[0]) ? a[0] : jn_strz(j, "");
}

static jval f_attr(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct str name = text(j, a[0]);
    if (v.kind == JN_UNDEFINED)
        no_number(j, v);
    if (v.kind == JN_DICT) { /* never an item */
        const struct jn_func *f = jn_find_func(jn_dict_methods, name);
        return f ? jn_attr(j, v, name) : jn_undefined("attribute");
    }
    return jn_attr(j, v, name);
}

const struct jn_func jn_filters[] = {
    {"tojson", f_tojson, "ensure_ascii? indent? separators? sort_keys?"},
    {"trim", f_trim, "chars?"},
    {"upper", f_upper, ""},
    {"lower", f_lower, ""},
    {"capitalize", f_capitalize, ""},
    {"title", f_title, ""},
    {"string", f_string, ""},
    {"safe", f_safe, ""},
    {"replace", f_replace, "old new count?"},
    {"escape", f_escape, ""},
    {"e", f_escape, ""},
    {"forceescape", f_forceescape, ""},
    {"indent", f_indent, "width? first? blank?"},
    {"center", f_center, "width?"},
    {"truncate", f_truncate, "length? killwords? end? leeway?"},
    {"wordcount", f_wordcount, ""},
    {"urlencode", f_urlencode, ""},
    {"format", f_format, "*"},
    {"striptags", f_striptags, ""},
    {"int", f_int, "default? base?"},
    {"float", f_float, "default?"},
    {"abs", f_abs, ""},
    {"round", f_round, "precision? method?"},
    {"filesizeformat", f_filesizeformat, "binary?"},
    {"default", f_default, "default_value? boolean?"},
    {"d", f_default, "default_value? boolean?"},
    {"attr", f_attr, "name"},
    {0},
};
