/* Jinja: values as text, the way Python prints them: str(), repr() and json.dumps(). */
#include "text/jinja.h"
#include "base/utf8.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void jn_put(struct jn *j, struct jn_out *o, const char *p, size_t n)
{
    jn_work(j, n / 64);
    if (o->cap - o->n < n) {
        size_t cap = o->cap ? o->cap * 2 : 256;
        while (cap < o->n + n)
            cap *= 2;
        char *q = jn_alloc(j, cap);
        if (o->n)
            memcpy(q, o->p, o->n);
        o->p = q;
        o->cap = cap;
    }
    if (n)
        memcpy(o->p + o->n, p, n);
    o->n += n;
    if (o->n > j->out_limit)
        jn_limit(j, "more than %zu bytes of output", j->out_limit);
}

static void puts_(struct jn *j, struct jn_out *o, const char *z)
{
    jn_put(j, o, z, strlen(z));
}

jval jn_out_str(struct jn *j, struct jn_out *o)
{
    return jn_str_keep(j, o->p ? o->p : "", o->n);
}

/* Shortest digits that read back as the same number, laid out as Python does: exponent below 1e-4 and from
 * 1e16 on. */
int jn_float_repr(double f, char out[32])
{
    char digits[32];
    if (isnan(f) || isinf(f))
        return snprintf(out, 32, "%s", isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
    for (int prec = 0; prec < 17; prec++) {
        snprintf(digits, sizeof digits, "%.*e", prec, f);
        if (strtod(digits, NULL) == f)
            break;
    }
    char *e = strchr(digits, 'e');
    int exponent = atoi(e + 1), n_digit = 0;
    char d[20];
    const char *sign = digits[0] == '-' ? "-" : "";
    for (char *c = digits; c < e; c++)
        if (*c >= '0' && *c <= '9')
            d[n_digit++] = *c;
    d[n_digit] = 0;
    if (exponent < -4 || exponent >= 16)
        return snprintf(out, 32, "%s%c%s%se%c%02d", sign, d[0], n_digit > 1 ? "." : "", d + 1,
                        exponent < 0 ? '-' : '+', abs(exponent));
    if (exponent < 0)
        return snprintf(out, 32, "%s0.%.*s%s", sign, -exponent - 1, "000", d);
    if (n_digit <= exponent + 1)
        return snprintf(out, 32, "%s%s%.*s.0", sign, d, exponent + 1 - n_digit, "0000000000000000");
    return snprintf(out, 32, "%s%.*s.%s", sign, exponent + 1, d, d + exponent + 1);
}

static void put_number(struct jn *j, struct jn_out *o, jval v)
{
    char text[32];
    int n = v.kind == JN_INT ? snprintf(text, sizeof text, "%" PRId64, v.i) : jn_float_repr(v.f, text);
    jn_put(j, o, text, (size_t)n);
}

/* ---- repr ---- */

static void put_repr_str(struct jn *j, struct jn_out *o, struct str s)
{
    bool single = s.n && memchr(s.p, '\'', s.n), twice = s.n && memchr(s.p, '"', s.n);
    char quote = single && !twice ? '"' : '\'', text[16];
    jn_put(j, o, &quote, 1);
    for (size_t i = 0; i < s.n;) {
        uint32_t c = 0xfffd;
        int step = utf8_get(s.p + i, s.n - i, &c), n = 0;
        step = step ? step : 1;
        if (c == (uint32_t)quote || c == '\\')
            n = snprintf(text, sizeof text, "\\%c", (char)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            n = snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (!jn_is_printable(c))
            n = snprintf(text, sizeof text, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        if (n)
            jn_put(j, o, text, (size_t)n);
        else
            jn_put(j, o, s.p + i, (size_t)step);
        i += (size_t)step;
    }
    jn_put(j, o, &quote, 1);
}

static void put_items(struct jn *j, struct jn_out *o, const struct jn_list *l, const char *open,
                      const char *close)
{
    puts_(j, o, open);
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            puts_(j, o, ", ");
        jn_put_repr(j, o, l->v[i]);
    }
    puts_(j, o, close);
}

static void put_dict(struct jn *j, struct jn_out *o, const struct jn_dict *d)
{
    bool first = true;
    puts_(j, o, "{");
    for (size_t i = 0; i < d->n; i++) {
        if (!d->e[i].live)
            continue;
        if (!first)
            puts_(j, o, ", ");
        first = false;
        jn_put_repr(j, o, d->e[i].key);
        puts_(j, o, ": ");
        jn_put_repr(j, o, d->e[i].value);
    }
    puts_(j, o, "}");
}

static void put_other(struct jn *j, struct jn_out *o, jval v)
{
    char text[96];
    if (v.kind == JN_RANGE && v.l->tag)
        snprintf(text, sizeof text, "%s", v.l->tag);
    else if (v.kind == JN_MACRO)
        snprintf(text, sizeof text, "<Macro '%.*s'>",
                 v.macro->node->name.n > 60 ? 60 : (int)v.macro->node->name.n, v.macro->node->name.p);
    else
        snprintf(text, sizeof text, "<%s>", jn_kind_name(v));
    puts_(j, o, text);
}

void jn_put_repr(struct jn *j, struct jn_out *o, jval v)
{
    jn_enter(j);
    jn_work(j, 1);
    switch (v.kind) {
    case JN_UNDEFINED:
        puts_(j, o, "Undefined");
        break;
    case JN_NONE:
        puts_(j, o, "None");
        break;
    case JN_BOOL:
        puts_(j, o, v.b ? "True" : "False");
        break;
    case JN_INT:
    case JN_FLOAT:
        put_number(j, o, v);
        break;
    case JN_STR:
        put_repr_str(j, o, jn_s(v));
        break;
    case JN_LIST:
        put_items(j, o, v.l, "[", "]");
        break;
    case JN_TUPLE:
        put_items(j, o, v.l, "(", v.l->n == 1 ? ",)" : ")");
        break;
    case JN_VIEW:
        puts_(j, o, v.l->tag);
        put_items(j, o, v.l, "([", "])");
        break;
    case JN_DICT:
        put_dict(j, o, v.d);
        break;
    case JN_NAMESPACE:
        puts_(j, o, "<Namespace ");
        put_dict(j, o, v.d);
        puts_(j, o, ">");
        break;
    default:
        put_other(j, o, v);
    }
    jn_leave(j);
}

void jn_put_str(struct jn *j, struct jn_out *o, jval v)
{
    if (v.kind == JN_STR)
        jn_put(j, o, v.s->p, v.s->n);
    else if (v.kind != JN_UNDEFINED && v.kind != JN_MISSING)
        jn_put_repr(j, o, v);
}

jval jn_to_str(struct jn *j, jval v)
{
    if (v.kind == JN_STR)
        return v;
    struct jn_out o = {0};
    jn_put_str(j, &o, v);
    return jn_out_str(j, &o);
}

/* ---- JSON ---- */

struct json {
    struct jn *j;
    struct jn_out *o;
    bool ascii, pretty, sort;
    struct str indent, item_sep, key_sep;
    int level;
};

static void json_escape(struct json *s, uint32_t c)
{
    static const char plain[] = "\"\\\n\r\t\b\f", letter[] = "\"\\nrtbf";
    char text[16];
    const char *hit = c && c < 0x80 ? strchr(plain, (int)c) : NULL;
    if (hit)
        snprintf(text, sizeof text, "\\%c", letter[hit - plain]);
    else if (c < 0x10000)
        snprintf(text, sizeof text, "\\u%04x", c);
    else
        snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                 0xdc00 + ((c - 0x10000) & 0x3ff));
    puts_(s->j, s->o, text);
}

static void json_str(struct json *s, struct str v)
{
    size_t from = 0;
    puts_(s->j, s->o, "\"");
    for (size_t i = 0; i < v.n;) {
        uint32_t c = 0xfffd;
        int step = utf8_get(v.p + i, v.n - i, &c);
        step = step ? step : 1;
        if (c < 0x20 || c == '"' || c == '\\' || (s->ascii && c > 0x7e)) {
            jn_put(s->j, s->o, v.p + from, i - from);
            json_escape(s, c);
            from = i + (size_t)step;
        }
        i += (size_t)step;
    }
    jn_put(s->j, s->o, v.p + from, v.n - from);
    puts_(s->j, s->o, "\"");
}

static void json_line(struct json *s)
{
    if (!s->pretty)
        return;
    puts_(s->j, s->o, "\n");
    for (int i = 0; i < s->level; i++)
        jn_put(s->j, s->o, s->indent.p, s->indent.n);
}

static void json_value(struct json *s, jval v);

static void json_list(struct json *s, const struct jn_list *l)
{
    puts_(s->j, s->o, "[");
    s->level++;
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            jn_put(s->j, s->o, s->item_sep.p, s->item_sep.n);
        json_line(s);
        json_value(s, l->v[i]);
    }
    s->level--;
    if (l->n)
        json_line(s);
    puts_(s->j, s->o, "]");
}

static void json_key(struct json *s, jval key)
{
    switch (key.kind) {
    case JN_STR:
        json_str(s, jn_s(key));
        return;
    case JN_NONE:
    case JN_BOOL:
    case JN_INT:
    case JN_FLOAT:
        puts_(s->j, s->o, "\"");
        json_value(s, key);
        puts_(s->j, s->o, "\"");
        return;
    default:
        jn_fail(s->j, "tojson: keys must be strings or numbers, not %s", jn_kind_name(key));
    }
}

static int by_key(struct jn *j, void *ctx, jval a, jval b)
{
    return jn_order(j, a.l->v[0], b.l->v[0], "<");
}

static void json_dict(struct json *s, const struct jn_dict *d)
{
    jval items = jn_list(s->j, JN_LIST, d->n_live);
    for (size_t i = 0; i < d->n; i++)
        if (d->e[i].live) {
            jval pair = jn_list(s->j, JN_TUPLE, 2);
            jn_push(s->j, pair, d->e[i].key);
            jn_push(s->j, pair, d->e[i].value);
            jn_push(s->j, items, pair);
        }
    if (s->sort)
        jn_sort(s->j, items.l->v, items.l->n, by_key, NULL);
    puts_(s->j, s->o, "{");
    s->level++;
    for (size_t i = 0; i < items.l->n; i++) {
        if (i)
            jn_put(s->j, s->o, s->item_sep.p, s->item_sep.n);
        json_line(s);
        json_key(s, items.l->v[i].l->v[0]);
        jn_put(s->j, s->o, s->key_sep.p, s->key_sep.n);
        json_value(s, items.l->v[i].l->v[1]);
    }
    s->level--;
    if (items.l->n)
        json_line(s);
    puts_(s->j, s->o, "}");
}

static void json_value(struct json *s, jval v)
{
    jn_enter(s->j);
    jn_work(s->j, 1);
    switch (v.kind) {
    case JN_NONE:
        puts_(s->j, s->o, "null");
        break;
    case JN_BOOL:
        puts_(s->j, s->o, v.b ? "true" : "false");
        break;
    case JN_FLOAT:
        if (isnan(v.f) || isinf(v.f)) {
            puts_(s->j, s->o, isnan(v.f) ? "NaN" : v.f < 0 ? "-Infinity" : "Infinity");
            break;
        }
        put_number(s->j, s->o, v);
        break;
    case JN_INT:
        put_number(s->j, s->o, v);
        break;
    case JN_STR:
        json_str(s, jn_s(v));
        break;
    case JN_LIST:
    case JN_TUPLE:
        json_list(s, v.l);
        break;
    case JN_DICT:
        json_dict(s, v.d);
        break;
    default:
        jn_fail(s->j, "tojson: an object of type %s is not JSON serializable", jn_kind_name(v));
    }
    jn_leave(s->j);
}

void jn_put_json(struct jn *j, struct jn_out *o, jval v, bool ascii, jval indent, jval separators, bool sort)
{
    struct json s = {
        .j = j, .o = o, .ascii = ascii, .sort = sort, .item_sep = STR(", "), .key_sep = STR(": ")};
    if (indent.kind == JN_INT || indent.kind == JN_BOOL) {
        int64_t n = indent.kind == JN_BOOL ? indent.b : indent.i;
        s.pretty = true;
        if (n > 1000)
            jn_limit(j, "tojson: an indent of more than 1000");
        if (n > 0) {
            char *p = jn_alloc(j, (size_t)n);
            memset(p, ' ', (size_t)n);
            s.indent = (struct str){p, (size_t)n};
        }
    } else if (indent.kind == JN_STR) {
        s.pretty = true;
        s.indent = jn_s(indent);
    } else if (indent.kind != JN_NONE && indent.kind != JN_MISSING) {
        jn_fail(j, "tojson: indent must be a number or a string, not %s", jn_kind_name(indent));
    }
    if (s.pretty)
        s.item_sep = STR(",");
    if ((separators.kind == JN_TUPLE || separators.kind == JN_LIST) && separators.l->n == 2 &&
        separators.l->v[0].kind == JN_STR && separators.l->v[1].kind == JN_STR) {
        s.item_sep = jn_s(separators.l->v[0]);
        s.key_sep = jn_s(separators.l->v[1]);
    } else if (separators.kind != JN_NONE && separators.kind != JN_MISSING) {
        jn_fail(j, "tojson: separators must be two strings");
    }
    json_value(&s, v);
}
