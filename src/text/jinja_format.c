/* Jinja: Python's two kinds of string formatting, `%` and str.format(). */
#include "text/jinja.h"
#include "base/utf8.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

struct spec {
    struct str fill; /* one character */
    char align;      /* '<' '>' '^' '=' or 0 */
    char sign;       /* '+' ' ' or 0 */
    bool alt, comma, under;
    int64_t width, prec; /* prec -1: none */
    char type;           /* 0: none */
};

#define WIDTH_LIMIT 100000

/* Groups the digits of the whole part by three (or as many) with a separator. */
static jval group(struct jn *j, struct str digits, char sep)
{
    size_t whole = strspn(arena_dup(&j->arena, digits.p, digits.n), "0123456789");
    struct jn_out o = {0};
    for (size_t i = 0; i < digits.n; i++) {
        if (i && i < whole && (whole - i) % 3 == 0)
            jn_put(j, &o, &sep, 1);
        jn_put(j, &o, digits.p + i, 1);
    }
    return jn_out_str(j, &o);
}

/* sign and digits padded to the width */
static jval layout(struct jn *j, const struct spec *s, jval sign, jval body, char align)
{
    jval all = jn_concat(j, sign, body);
    int64_t more = s->width - (int64_t)jn_n_char(all);
    if (s->width > WIDTH_LIMIT)
        jn_limit(j, "a field of %" PRId64 " characters", s->width);
    if (more <= 0)
        return all;
    jval fill = jn_str_keep(j, s->fill.p, s->fill.n);
    align = s->align ? s->align : align;
    if (align == '=')
        return jn_concat(j, jn_concat(j, sign, jn_repeat(j, fill, more)), body);
    int64_t left = align == '<' ? 0 : align == '>' ? more : more / 2;
    return jn_concat(j, jn_concat(j, jn_repeat(j, fill, left), all), jn_repeat(j, fill, more - left));
}

static jval sign_of(struct jn *j, const struct spec *s, bool negative)
{
    return jn_strz(j, negative ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "");
}

static jval int_field(struct jn *j, const struct spec *s, int64_t v)
{
    char buf[80];
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    int n = 0;
    switch (s->type) {
    case 'x':
        n = snprintf(buf, sizeof buf, "%s%" PRIx64, s->alt ? "0x" : "", u);
        break;
    case 'X':
        n = snprintf(buf, sizeof buf, "%s%" PRIX64, s->alt ? "0X" : "", u);
        break;
    case 'o':
        n = snprintf(buf, sizeof buf, "%s%" PRIo64, s->alt ? "0o" : "", u);
        break;
    case 'b':
        if (s->alt)
            n = snprintf(buf, sizeof buf, "0b");
        for (int bit = u ? 63 - __builtin_clzll(u) : 0; bit >= 0; bit--)
            buf[n++] = (char)('0' + (u >> bit & 1));
        break;
    default:
        n = snprintf(buf, sizeof buf, "%" PRIu64, u);
    }
    jval body = jn_str(j, buf, (size_t)n);
    if (s->prec > n && s->prec <= WIDTH_LIMIT) /* "%.5d" */
        body = jn_concat(j, jn_repeat(j, jn_strz(j, "0"), s->prec - n), body);
    if (s->comma || s->under)
        body = group(j, jn_s(body), s->comma ? ',' : '_');
    return layout(j, s, sign_of(j, s, v < 0), body, '>');
}

static jval float_field(struct jn *j, const struct spec *s, double f)
{
    char buf[700], format[8] = {'%', '.', '*', 0};
    int prec = s->prec < 0 ? 6 : s->prec > 300 ? 300 : (int)s->prec, n;
    char type = s->type ? s->type : 'r';
    double v = fabs(f) * (type == '%' ? 100 : 1);
    if (isnan(f) || isinf(f)) {
        n = snprintf(buf, sizeof buf, "%s", isnan(f) ? "nan" : "inf");
    } else if (type == 'r') { /* no type given: repr, or as g with a precision */
        n = s->prec < 0 ? jn_float_repr(v, buf) : snprintf(buf, sizeof buf, "%.*g", prec ? prec : 1, v);
    } else {
        format[3] = type == '%' ? 'f' : type;
        n = snprintf(buf, sizeof buf, format, type == 'g' || type == 'G' ? (prec ? prec : 1) : prec, v);
    }
    if (type == '%')
        buf[n++] = '%';
    jval body = jn_str(j, buf, (size_t)n);
    if (s->comma || s->under)
        body = group(j, jn_s(body), s->comma ? ',' : '_');
    return layout(j, s, sign_of(j, s, signbit(f) && !isnan(f)), body, '>');
}

static jval str_field(struct jn *j, const struct spec *s, jval v)
{
    if (s->prec >= 0)
        v = jn_slice(j, v, jn_none(), jn_int(s->prec), jn_none());
    return layout(j, s, jn_strz(j, ""), v, '<');
}

static jval repr(struct jn *j, jval v)
{
    struct jn_out o = {0};
    jn_put_repr(j, &o, v);
    return jn_out_str(j, &o);
}

/* ---- % ---- */

static int64_t number(struct jn *j, struct str f, size_t *i)
{
    int64_t v = 0;
    for (; *i < f.n && f.p[*i] >= '0' && f.p[*i] <= '9'; (*i)++) {
        v = v * 10 + (f.p[*i] - '0');
        if (v > WIDTH_LIMIT)
            jn_limit(j, "a field of more than %d characters", WIDTH_LIMIT);
    }
    return v;
}

static jval percent_value(struct jn *j, struct spec *s, char type, jval v, bool escape)
{
    bool is_int = v.kind == JN_INT || v.kind == JN_BOOL;
    int64_t i = is_int ? (v.kind == JN_BOOL ? v.b : v.i) : 0;
    s->type = type == 'i' || type == 'u' ? 'd' : type;
    if (escape && (type == 's' || type == 'r'))
        v = jn_escape(j, type == 's' ? jn_to_str(j, v) : repr(j, v));
    if (escape && type == 'r')
        s->type = 's';
    switch (s->type) {
    case 's':
        return layout(j, s, jn_strz(j, ""),
                      s->prec < 0 ? jn_to_str(j, v)
                                  : jn_slice(j, jn_to_str(j, v), jn_none(), jn_int(s->prec), jn_none()),
                      '>');
    case 'r':
    case 'a':
        return layout(j, s, jn_strz(j, ""), repr(j, v), '>');
    case 'c': {
        char text[4];
        if (is_int && i >= 0 && i <= 0x10ffff)
            v = jn_str(j, text, (size_t)utf8_put((uint32_t)i, text));
        if (v.kind != JN_STR || jn_n_char(v) != 1)
            jn_fail(j, "%%c requires int or char");
        return layout(j, s, jn_strz(j, ""), v, '>');
    }
    case 'd':
        if (v.kind == JN_FLOAT && fabs(v.f) < 9e18)
            return int_field(j, s, (int64_t)v.f);
        /* fall through */
    case 'x':
    case 'X':
    case 'o':
        if (!is_int)
            jn_fail(j, "%%%c format: a number is required, not %s", type, jn_kind_name(v));
        return int_field(j, s, i);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
        if (!is_int && v.kind != JN_FLOAT)
            jn_fail(j, "%%%c format: must be a real number, not %s", type, jn_kind_name(v));
        return float_field(j, s, v.kind == JN_FLOAT ? v.f : (double)i);
    default:
        jn_fail(j, "unsupported format character '%c'", type);
    }
}

struct percent {
    jval args;
    size_t used;
    bool safe; /* the format is: what goes in gets escaped */
};

static jval next_arg(struct jn *j, struct percent *p)
{
    size_t n = p->args.kind == JN_TUPLE ? p->args.l->n : 1;
    if (p->used >= n)
        jn_fail(j, "not enough arguments for format string");
    return p->args.kind == JN_TUPLE ? p->args.l->v[p->used++] : (p->used++, p->args);
}

/* One conversion after its '%' at f[i]; returns the place behind it. */
static size_t conversion(struct jn *j, struct str f, size_t i, struct percent *p, struct jn_out *o)
{
    struct spec s = {.fill = STR(" "), .prec = -1};
    jval v = {.kind = JN_MISSING};
    if (i < f.n && f.p[i] == '(') {
        const char *end = memchr(f.p + i, ')', f.n - i);
        if (!end || p->args.kind != JN_DICT)
            jn_fail(j, "format requires a mapping");
        jval *hit = jn_dict_find(j, p->args.d, (struct str){f.p + i + 1, (size_t)(end - f.p) - i - 1});
        if (!hit)
            jn_fail(j, "format: the mapping has no such key");
        v = *hit;
        i = (size_t)(end - f.p) + 1;
    }
    for (; i < f.n && f.p[i] && strchr("-+ #0", f.p[i]); i++) {
        if (f.p[i] == '-')
            s.align = '<';
        else if (f.p[i] == '#')
            s.alt = true;
        else if (f.p[i] == '0')
            s.fill = STR("0");
        else if (s.sign != '+')
            s.sign = f.p[i];
    }
    if (i < f.n && f.p[i] == '*') {
        s.width = jn_arg_int(j, next_arg(j, p), 0);
        i++;
    } else {
        s.width = number(j, f, &i);
    }
    if (i < f.n && f.p[i] == '.') {
        i++;
        s.prec = number(j, f, &i);
    }
    if (i >= f.n)
        jn_fail(j, "incomplete format");
    if (f.p[i] == '%') {
        jn_put(j, o, "%", 1);
        return i + 1;
    }
    bool zero = f.n && s.fill.p[0] == '0', text = strchr("srac", f.p[i]) != NULL;
    if (s.align || text)
        s.fill = STR(" ");
    else if (zero)
        s.align = '=';
    v = percent_value(j, &s, f.p[i], jn_given(v) ? v : next_arg(j, p), p->safe);
    jn_put(j, o, v.s->p, v.s->n);
    return i + 1;
}

jval jn_percent(struct jn *j, jval format, jval args)
{
    struct str f = jn_s(format);
    struct jn_out o = {0};
    struct percent p = {.args = args, .safe = format.s->safe};
    bool named = memmem(f.p, f.n, "%(", 2) != NULL;
    for (size_t i = 0; i < f.n;) {
        const char *hit = memchr(f.p + i, '%', f.n - i);
        size_t to = hit ? (size_t)(hit - f.p) : f.n;
        jn_put(j, &o, f.p + i, to - i);
        jn_work(j, 1);
        i = hit ? conversion(j, f, to + 1, &p, &o) : f.n;
    }
    size_t n = args.kind == JN_TUPLE ? args.l->n : args.kind == JN_DICT || args.kind == JN_LIST ? 0 : 1;
    if (!named && p.used < n)
        jn_fail(j, "not all arguments converted during string formatting");
    return jn_mark(j, jn_out_str(j, &o), p.safe);
}

/* ---- str.format ---- */

static struct spec parse_spec(struct jn *j, struct str f)
{
    struct spec s = {.fill = STR(" "), .prec = -1};
    size_t i = 0;
    uint32_t c;
    int step = f.n ? utf8_get(f.p, f.n, &c) : 0;
    if (step && (size_t)step < f.n && f.p[step] && strchr("<>^=", f.p[step])) {
        s.fill = (struct str){f.p, (size_t)step};
        s.align = f.p[step];
        i = (size_t)step + 1;
    } else if (f.n && f.p[0] && strchr("<>^=", f.p[0])) {
        s.align = f.p[i++];
    }
    if (i < f.n && f.p[i] && strchr("+- ", f.p[i]))
        s.sign = f.p[i++];
    s.alt = i < f.n && f.p[i] == '#';
    i += s.alt;
    if (i < f.n && f.p[i] == '0' && !s.align) {
        s.fill = STR("0");
        s.align = '=';
    }
    s.width = number(j, f, &i);
    s.comma = i < f.n && f.p[i] == ',';
    s.under = i < f.n && f.p[i] == '_';
    i += s.comma || s.under;
    if (i < f.n && f.p[i] == '.') {
        i++;
        if (i >= f.n || f.p[i] < '0' || f.p[i] > '9')
            jn_fail(j, "format specifier missing precision");
        s.prec = number(j, f, &i);
    }
    if (i < f.n)
        s.type = f.p[i++];
    if (i < f.n)
        jn_fail(j, "invalid format specifier");
    return s;
}

static jval format_value(struct jn *j, jval v, struct str spec_text)
{
    struct spec s = parse_spec(j, spec_text);
    bool is_int = v.kind == JN_INT || v.kind == JN_BOOL;
    if (!spec_text.n)
        return jn_to_str(j, v);
    if (v.kind == JN_STR && (!s.type || s.type == 's') && s.align != '=')
        return str_field(j, &s, v);
    if (is_int && (!s.type || strchr("dxXobn", s.type)))
        return int_field(j, &s, v.kind == JN_BOOL ? v.b : v.i);
    if ((is_int || v.kind == JN_FLOAT) && (!s.type || strchr("eEfFgG%n", s.type)))
        return float_field(j, &s, v.kind == JN_FLOAT ? v.f : v.kind == JN_BOOL ? v.b : (double)v.i);
    jn_fail(j, "format: this specifier does not go with an object of type %s", jn_kind_name(v));
}

/* "name.attribute[key]" */
static jval field_value(struct jn *j, struct str f, const struct jn_args *args, int64_t *next)
{
    size_t i = 0;
    while (i < f.n && f.p[i] != '.' && f.p[i] != '[')
        i++;
    struct str name = {f.p, i};
    jval v = {.kind = JN_MISSING};
    size_t digits = 0;
    int64_t at = number(j, name, &digits);
    if (name.n == 0)
        at = (*next)++;
    if (digits == name.n) {
        if (at >= args->n)
            jn_fail(j, "format: replacement index %" PRId64 " out of range", at);
        v = args->pos[at];
    }
    for (int k = 0; k < args->n_kw && !jn_given(v); k++)
        if (str_eq(args->kw[k].name, name))
            v = args->kw[k].v;
    if (!jn_given(v))
        jn_fail(j, "format: no argument '" STR_FMT "'", STR_ARG(name));
    while (i < f.n) {
        bool item = f.p[i++] == '[';
        size_t from = i;
        while (i < f.n && (item ? f.p[i] != ']' : f.p[i] != '.' && f.p[i] != '['))
            i++;
        struct str key = {f.p + from, i - from};
        size_t k = 0;
        int64_t index = number(j, key, &k);
        v = item ? jn_item(j, v, key.n && k == key.n ? jn_int(index) : jn_str_keep(j, key.p, key.n))
                 : jn_attr(j, v, key);
        if (v.kind == JN_UNDEFINED)
            jn_fail(j, "format: nothing at '" STR_FMT "'", STR_ARG(key));
        i += item && i < f.n;
    }
    return v;
}

static jval format_field(struct jn *j, struct str f, const struct jn_args *args, int64_t *next)
{
    const char *colon = memchr(f.p, ':', f.n), *bang = memchr(f.p, '!', colon ? (size_t)(colon - f.p) : f.n);
    size_t end = bang ? (size_t)(bang - f.p) : colon ? (size_t)(colon - f.p) : f.n;
    jval v = field_value(j, (struct str){f.p, end}, args, next);
    if (bang) {
        char how = bang + 1 < f.p + f.n ? bang[1] : 0;
        if (how != 'r' && how != 's' && how != 'a')
            jn_fail(j, "format: unknown conversion");
        v = how == 's' ? jn_to_str(j, v) : repr(j, v);
    }
    struct str spec = colon ? (struct str){colon + 1, (size_t)(f.p + f.n - colon - 1)} : (struct str){"", 0};
    if (memchr(spec.p, '{', spec.n))
        jn_fail(j, "format: fields inside of a specifier are not supported");
    return format_value(j, v, spec);
}

jval jn_format(struct jn *j, jval format, const struct jn_args *args)
{
    struct str f = jn_s(format);
    struct jn_out o = {0};
    int64_t next = 0;
    for (size_t i = 0; i < f.n; i++) {
        char c = f.p[i];
        jn_work(j, 1);
        if ((c == '{' || c == '}') && i + 1 < f.n && f.p[i + 1] == c) {
            jn_put(j, &o, &c, 1);
            i++;
        } else if (c == '{') {
            const char *end = memchr(f.p + i, '}', f.n - i);
            if (!end)
                jn_fail(j, "format: expected '}' before end of string");
            jval v = format_field(j, (struct str){f.p + i + 1, (size_t)(end - f.p) - i - 1}, args, &next);
            jn_put(j, &o, v.s->p, v.s->n);
            i = (size_t)(end - f.p);
        } else if (c == '}') {
            jn_fail(j, "format: single '}' encountered in format string");
        } else {
            jn_put(j, &o, &c, 1);
        }
    }
    return jn_out_str(j, &o);
}
