/* Jinja values: failing, memory, strings, dicts, truth, equality, order. */
#include "text/jinja.h"
#include "base/utf8.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static _Noreturn void leave(struct jn *j, int code, const char *text)
{
    j->rc = err_set(j->err, code, "chat template, line %d: %s", j->line, text);
    longjmp(j->fail, 1);
}

#define WORDS(text, fmt)                         \
    do {                                         \
        va_list args;                            \
        va_start(args, fmt);                     \
        vsnprintf(text, sizeof text, fmt, args); \
        va_end(args);                            \
    } while (0)

void jn_fail(struct jn *j, const char *fmt, ...)
{
    char text[400];
    WORDS(text, fmt);
    leave(j, LATHE_E_TEMPLATE, text);
}

void jn_limit(struct jn *j, const char *fmt, ...)
{
    char text[400];
    WORDS(text, fmt);
    leave(j, LATHE_E_LIMIT, text);
}

void jn_work(struct jn *j, size_t n)
{
    if (n > JN_STEP_LIMIT || j->steps + (uint32_t)n > JN_STEP_LIMIT)
        jn_limit(j, "more than %u steps", JN_STEP_LIMIT);
    j->steps += (uint32_t)n;
}

void *jn_alloc(struct jn *j, size_t n)
{
    if (n > JN_BYTES_LIMIT || j->arena.total + n > JN_BYTES_LIMIT)
        jn_limit(j, "more than %zu MiB of memory", JN_BYTES_LIMIT >> 20);
    jn_work(j, n / 256);
    return arena_alloc(&j->arena, n);
}

void jn_enter(struct jn *j)
{
    if (++j->depth > JN_DEPTH_LIMIT)
        jn_limit(j, "nested deeper than %d", JN_DEPTH_LIMIT);
}

int jn_intern(struct jn *j, struct str name)
{
    if (j->n_sym * 2 >= j->sym_mask) {
        int size = j->sym_mask ? (j->sym_mask + 1) * 2 : 256;
        j->sym_index = jn_alloc(j, (size_t)size * sizeof *j->sym_index);
        j->sym_mask = size - 1;
        for (int i = 0; i < j->n_sym; i++) {
            int k = (int)XXH3_64bits(j->sym[i].p, j->sym[i].n) & j->sym_mask;
            while (j->sym_index[k])
                k = (k + 1) & j->sym_mask;
            j->sym_index[k] = i + 1;
        }
    }
    int k = (int)XXH3_64bits(name.p, name.n) & j->sym_mask;
    for (; j->sym_index[k]; k = (k + 1) & j->sym_mask)
        if (str_eq(j->sym[j->sym_index[k] - 1], name))
            return j->sym_index[k] - 1;
    if (j->n_sym == j->cap_sym) {
        int cap = j->cap_sym ? j->cap_sym * 2 : 128;
        struct str *s = jn_alloc(j, (size_t)cap * sizeof *s);
        if (j->n_sym)
            memcpy(s, j->sym, (size_t)j->n_sym * sizeof *s);
        j->sym = s;
        j->cap_sym = cap;
    }
    j->sym[j->n_sym] =
        (struct str){arena_dup(&j->arena, name.p, name.n), name.n}; /* ends in NUL, for messages */
    j->sym_index[k] = j->n_sym + 1;
    return j->n_sym++;
}

/* ---- strings ---- */

jval jn_str_keep(struct jn *j, const char *p, size_t n)
{
    struct jn_string *s = jn_alloc(j, sizeof *s);
    *s = (struct jn_string){.p = p, .n = n, .n_char = SIZE_MAX};
    return (jval){.kind = JN_STR, .s = s};
}

jval jn_str(struct jn *j, const char *p, size_t n)
{
    char *q = jn_alloc(j, n + 1);
    if (n)
        memcpy(q, p, n);
    return jn_str_keep(j, q, n);
}

jval jn_mark(struct jn *j, jval v, bool safe)
{
    if (v.s->safe == safe)
        return v;
    jval out = jn_str_keep(j, v.s->p, v.s->n);
    out.s->safe = safe;
    return out;
}

jval jn_escape(struct jn *j, jval v)
{
    static const char chars[] = "&<>\"'";
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"};
    struct str s = jn_s(v);
    struct jn_out o = {0};
    if (v.s->safe)
        return v;
    for (size_t i = 0; i < s.n; i++) {
        const char *hit = s.p[i] ? strchr(chars, s.p[i]) : NULL;
        if (hit)
            jn_put(j, &o, names[hit - chars], strlen(names[hit - chars]));
        else
            jn_put(j, &o, s.p + i, 1);
    }
    return jn_mark(j, jn_out_str(j, &o), true);
}

jval jn_strz(struct jn *j, const char *z)
{
    return jn_str(j, z, strlen(z));
}

size_t jn_n_char(jval v)
{
    if (v.s->n_char == SIZE_MAX) {
        size_t n = 0;
        for (size_t i = 0; i < v.s->n; i++)
            n += ((unsigned char)v.s->p[i] & 0xc0) != 0x80;
        v.s->n_char = n;
    }
    return v.s->n_char;
}

/* Prompts are built by appending in loops: a string whose bytes end where its buffer's used part ends is
 * extended in place, so that n appends cost n and not n * n. The shorter string still reads its own bytes. */
jval jn_concat(struct jn *j, jval a, jval b)
{
    size_t n = a.s->n + b.s->n;
    if (!b.s->n)
        return a;
    if (!a.s->n)
        return b;
    struct jn_grow *g = a.s->grow;
    if (!g || a.s->p + a.s->n != g->p + g->used || g->cap - g->used < b.s->n) {
        size_t cap = n < 256 ? n : n * 2;
        g = jn_alloc(j, sizeof *g + cap + 1);
        g->cap = cap;
        g->used = a.s->n;
        memcpy(g->p, a.s->p, a.s->n);
        a.s->p = g->p; /* the same bytes */
        a.s->grow = g;
    }
    jn_work(j, b.s->n / 64);
    memcpy(g->p + g->used, b.s->p, b.s->n);
    g->used += b.s->n;
    jval v = jn_str_keep(j, a.s->p, n);
    v.s->grow = g;
    return v;
}

/* ---- lists ---- */

jval jn_list(struct jn *j, enum jn_kind kind, size_t cap)
{
    struct jn_list *l = jn_alloc(j, sizeof *l);
    if (cap) {
        if (cap > JN_BYTES_LIMIT / sizeof *l->v)
            jn_limit(j, "a list of %zu items", cap);
        l->v = jn_alloc(j, cap * sizeof *l->v);
        l->cap = cap;
    }
    return (jval){.kind = kind, .l = l};
}

void jn_push(struct jn *j, jval list, jval v)
{
    struct jn_list *l = list.l;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        jval *p = jn_alloc(j, cap * sizeof *p);
        if (l->n)
            memcpy(p, l->v, l->n * sizeof *p);
        l->v = p;
        l->cap = cap;
    }
    l->v[l->n++] = v;
}

/* ---- dicts ---- */

bool jn_hashable(jval v)
{
    if (v.kind == JN_TUPLE)
        for (size_t i = 0; i < v.l->n; i++)
            if (!jn_hashable(v.l->v[i]))
                return false;
    return v.kind != JN_LIST && v.kind != JN_DICT && v.kind != JN_VIEW;
}

static uint64_t hash_of(struct jn *j, jval v)
{
    uint64_t h = 0x9e3779b97f4a7c15u;
    switch (v.kind) {
    case JN_STR:
        return XXH3_64bits(v.s->p, v.s->n);
    case JN_BOOL:
        return (uint64_t)v.b * h;
    case JN_INT:
        return (uint64_t)v.i * h;
    case JN_FLOAT:
        if (v.f >= -9e18 && v.f <= 9e18 && v.f == (double)(int64_t)v.f) /* equal numbers have equal hashes */
            return (uint64_t)(int64_t)v.f * h;
        return XXH3_64bits(&v.f, sizeof v.f);
    case JN_TUPLE:
    case JN_RANGE:
        jn_enter(j);
        for (size_t i = 0; i < v.l->n; i++)
            h = (h ^ hash_of(j, v.l->v[i])) * 0x100000001b3u;
        jn_leave(j);
        return h;
    case JN_NONE:
    case JN_UNDEFINED:
        return v.kind * h;
    default:
        return (uint64_t)(uintptr_t)v.l * h;
    }
}

jval jn_dict(struct jn *j)
{
    return (jval){.kind = JN_DICT, .d = jn_alloc(j, sizeof(struct jn_dict))};
}

static void need_hashable(struct jn *j, jval key)
{
    if (!jn_hashable(key))
        jn_fail(j, "unhashable type: '%s'", jn_kind_name(key));
}

static struct jn_entry *entry_find(struct jn *j, const struct jn_dict *d, jval key, uint64_t hash)
{
    if (!d->index) {
        for (size_t i = 0; i < d->n; i++)
            if (d->e[i].live && d->e[i].hash == hash && jn_equal(j, d->e[i].key, key))
                return &d->e[i];
        return NULL;
    }
    for (uint32_t k = (uint32_t)hash & d->mask; d->index[k]; k = (k + 1) & d->mask) {
        struct jn_entry *e = &d->e[d->index[k] - 1];
        if (e->live && e->hash == hash && jn_equal(j, e->key, key))
            return e;
    }
    return NULL;
}

static void index_add(struct jn_dict *d, size_t i)
{
    uint32_t k = (uint32_t)d->e[i].hash & d->mask;
    while (d->index[k])
        k = (k + 1) & d->mask;
    d->index[k] = (uint32_t)i + 1;
}

static void dict_grow(struct jn *j, struct jn_dict *d)
{
    size_t cap = d->n_live * 2 < 4 ? 4 : d->n_live * 2, n = 0;
    struct jn_entry *e = jn_alloc(j, cap * sizeof *e);
    for (size_t i = 0; i < d->n; i++)
        if (d->e[i].live)
            e[n++] = d->e[i];
    d->e = e;
    d->n = n;
    d->cap = cap;
    if (cap <= 8)
        return;
    uint32_t size = 16;
    while (size < cap * 2)
        size *= 2;
    d->index = jn_alloc(j, size * sizeof *d->index);
    d->mask = size - 1;
    for (size_t i = 0; i < n; i++)
        index_add(d, i);
}

void jn_dict_set(struct jn *j, struct jn_dict *d, jval key, jval v)
{
    need_hashable(j, key);
    uint64_t hash = hash_of(j, key);
    struct jn_entry *e = entry_find(j, d, key, hash);
    if (e) {
        e->value = v;
        return;
    }
    if (d->n == d->cap)
        dict_grow(j, d);
    d->e[d->n++] = (struct jn_entry){key, v, hash, true};
    d->n_live++;
    if (d->index)
        index_add(d, d->n - 1);
}

jval *jn_dict_get(struct jn *j, const struct jn_dict *d, jval key)
{
    need_hashable(j, key);
    struct jn_entry *e = d->n ? entry_find(j, d, key, hash_of(j, key)) : NULL;
    return e ? &e->value : NULL;
}

jval *jn_dict_find(struct jn *j, const struct jn_dict *d, struct str key)
{
    struct jn_string s = {.p = key.p, .n = key.n};
    return jn_dict_get(j, d, (jval){.kind = JN_STR, .s = &s});
}

bool jn_dict_del(struct jn *j, struct jn_dict *d, jval key)
{
    need_hashable(j, key);
    struct jn_entry *e = entry_find(j, d, key, hash_of(j, key));
    if (!e)
        return false;
    e->live = false;
    d->n_live--;
    return true;
}

/* ---- truth, equality, order ---- */

bool jn_truth(jval v)
{
    switch (v.kind) {
    case JN_MISSING:
    case JN_UNDEFINED:
    case JN_NONE:
        return false;
    case JN_BOOL:
        return v.b;
    case JN_INT:
        return v.i != 0;
    case JN_FLOAT:
        return v.f != 0;
    case JN_STR:
        return v.s->n != 0;
    case JN_LIST:
    case JN_TUPLE:
    case JN_RANGE:
    case JN_VIEW:
        return v.l->n != 0;
    case JN_DICT:
        return v.d->n_live != 0;
    default:
        return true;
    }
}

static bool is_number(jval v)
{
    return v.kind == JN_BOOL || v.kind == JN_INT || v.kind == JN_FLOAT;
}

static int64_t int_of(jval v)
{
    return v.kind == JN_BOOL ? v.b : v.i;
}

/* Exact even where an integer has no float of its own. 2: not comparable (NaN). */
static int number_order(jval a, jval b)
{
    if (a.kind != JN_FLOAT && b.kind != JN_FLOAT)
        return (int_of(a) > int_of(b)) - (int_of(a) < int_of(b));
    if (a.kind == JN_FLOAT && b.kind == JN_FLOAT)
        return isnan(a.f) || isnan(b.f) ? 2 : (a.f > b.f) - (a.f < b.f);
    double f = a.kind == JN_FLOAT ? a.f : b.f;
    int64_t i = int_of(a.kind == JN_FLOAT ? b : a);
    int sign = a.kind == JN_FLOAT ? 1 : -1;
    if (isnan(f))
        return 2;
    if (f >= 9223372036854775808.0 || f < -9223372036854775808.0)
        return f > 0 ? sign : -sign;
    int64_t whole = (int64_t)f;
    if (whole != i)
        return whole > i ? sign : -sign;
    double rest = f - (double)whole;
    return rest > 0 ? sign : rest < 0 ? -sign : 0;
}

static bool dict_equal(struct jn *j, const struct jn_dict *a, const struct jn_dict *b)
{
    if (a->n_live != b->n_live)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (!a->e[i].live)
            continue;
        struct jn_entry *e = entry_find(j, b, a->e[i].key, a->e[i].hash);
        if (!e || !jn_equal(j, a->e[i].value, e->value))
            return false;
    }
    return true;
}

bool jn_equal(struct jn *j, jval a, jval b)
{
    if (is_number(a) && is_number(b))
        return number_order(a, b) == 0;
    if (a.kind != b.kind)
        return false;
    bool same = true;
    switch (a.kind) {
    case JN_UNDEFINED:
    case JN_NONE:
        return true;
    case JN_STR:
        jn_work(j, a.s->n == b.s->n ? a.s->n / 64 : 0);
        return str_eq(jn_s(a), jn_s(b));
    case JN_LIST:
    case JN_TUPLE:
    case JN_RANGE:
        if (a.l == b.l || a.l->n != b.l->n)
            return a.l == b.l;
        jn_enter(j);
        jn_work(j, a.l->n);
        for (size_t i = 0; same && i < a.l->n; i++)
            same = jn_equal(j, a.l->v[i], b.l->v[i]);
        jn_leave(j);
        return same;
    case JN_DICT:
        if (a.d == b.d)
            return true;
        jn_enter(j);
        jn_work(j, a.d->n);
        same = dict_equal(j, a.d, b.d);
        jn_leave(j);
        return same;
    case JN_METHOD:
        return a.method->func == b.method->func && a.method->self.l == b.method->self.l;
    default:
        return a.l == b.l;
    }
}

static int list_order(struct jn *j, const struct jn_list *a, const struct jn_list *b, const char *op)
{
    int c = 0;
    jn_enter(j);
    for (size_t i = 0; !c && i < a->n && i < b->n; i++) {
        jn_work(j, 1);
        if (!jn_equal(j, a->v[i], b->v[i]))
            c = jn_order(j, a->v[i], b->v[i], op);
    }
    jn_leave(j);
    return c ? c : (a->n > b->n) - (a->n < b->n);
}

int jn_order(struct jn *j, jval a, jval b, const char *op)
{
    if (is_number(a) && is_number(b))
        return number_order(a, b);
    if (a.kind == JN_STR && b.kind == JN_STR) {
        size_t n = a.s->n < b.s->n ? a.s->n : b.s->n;
        int c = n ? memcmp(a.s->p, b.s->p, n) : 0; /* UTF-8 sorts as code points do */
        jn_work(j, n / 64);
        return c ? (c > 0) - (c < 0) : (a.s->n > b.s->n) - (a.s->n < b.s->n);
    }
    if (a.kind == b.kind && (a.kind == JN_LIST || a.kind == JN_TUPLE))
        return list_order(j, a.l, b.l, op);
    if (a.kind == JN_UNDEFINED || b.kind == JN_UNDEFINED)
        jn_fail(j, "'%s' is undefined",
                a.kind == JN_UNDEFINED && a.name   ? a.name
                : b.kind == JN_UNDEFINED && b.name ? b.name
                                                   : "value");
    jn_fail(j, "'%s' not supported between instances of '%s' and '%s'", op, jn_kind_name(a), jn_kind_name(b));
}

bool jn_contains(struct jn *j, jval item, jval box)
{
    if (box.kind == JN_STR) {
        if (item.kind != JN_STR)
            jn_fail(j, "'in <string>' requires string as left operand, not %s", jn_kind_name(item));
        jn_work(j, box.s->n / 16);
        return memmem(box.s->p, box.s->n, item.s->p, item.s->n) != NULL;
    }
    if (box.kind == JN_DICT)
        return jn_dict_get(j, box.d, item) != NULL;
    struct jn_iter it = jn_iter(j, box);
    jval v;
    while (jn_next(j, &it, &v))
        if (jn_equal(j, v, item))
            return true;
    return false;
}

const char *jn_kind_name(jval v)
{
    static const char *const names[] = {
        [JN_MISSING] = "missing", [JN_UNDEFINED] = "Undefined",
        [JN_NONE] = "NoneType",   [JN_BOOL] = "bool",
        [JN_INT] = "int",         [JN_FLOAT] = "float",
        [JN_STR] = "str",         [JN_LIST] = "list",
        [JN_TUPLE] = "tuple",     [JN_RANGE] = "range",
        [JN_VIEW] = "dict_view",  [JN_GEN] = "generator",
        [JN_DICT] = "dict",       [JN_NAMESPACE] = "Namespace",
        [JN_MACRO] = "Macro",     [JN_FUNC] = "function",
        [JN_METHOD] = "method",   [JN_LOOP] = "LoopContext",
        [JN_CYCLER] = "Cycler",   [JN_JOINER] = "Joiner",
    };
    return names[v.kind];
}
