/* Jinja: methods of lists and dicts, and the functions of the language (range, namespace, ...). */
#include "text/jinja.h"
#include <stdio.h>
#include <time.h>

/* ---- lists ---- */

static jval l_append(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    jn_push(j, self, a[0]);
    return jn_none();
}

static jval l_extend(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    jval more = jn_to_list(j, a[0], JN_LIST);
    for (size_t i = 0; i < more.l->n; i++)
        jn_push(j, self, more.l->v[i]);
    return jn_none();
}

static jval l_insert(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct jn_list *l = self.l;
    int64_t n = (int64_t)l->n, i = jn_arg_int(j, a[0], 0);
    i = i < 0 ? i + n < 0 ? 0 : i + n : i > n ? n : i;
    jn_push(j, self, jn_none());
    jn_work(j, (size_t)(n - i) / 16);
    memmove(l->v + i + 1, l->v + i, (size_t)(n - i) * sizeof *l->v);
    l->v[i] = a[1];
    return jn_none();
}

static jval l_pop(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct jn_list *l = self.l;
    int64_t n = (int64_t)l->n, i = jn_arg_int(j, a[0], -1);
    i += i < 0 ? n : 0;
    if (i < 0 || i >= n)
        jn_fail(j, n ? "pop index out of range" : "pop from empty list");
    jval v = l->v[i];
    jn_work(j, (size_t)(n - i) / 16);
    memmove(l->v + i, l->v + i + 1, (size_t)(n - i - 1) * sizeof *l->v);
    l->n--;
    return v;
}

static jval l_index(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    int64_t n = (int64_t)self.l->n, from = jn_arg_int(j, a[1], 0), to = jn_arg_int(j, a[2], n);
    from = from < 0 ? from + n < 0 ? 0 : from + n : from;
    to = to < 0 ? to + n : to > n ? n : to;
    for (int64_t i = from; i < to; i++) {
        jn_work(j, 1);
        if (jn_equal(j, self.l->v[i], a[0]))
            return jn_int(i);
    }
    jn_fail(j, "value is not in the list");
}

static jval l_count(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    int64_t n = 0;
    jn_work(j, self.l->n);
    for (size_t i = 0; i < self.l->n; i++)
        n += jn_equal(j, self.l->v[i], a[0]);
    return jn_int(n);
}

static jval l_remove(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    jval none = {.kind = JN_MISSING}, at = l_index(j, self, (jval[]){a[0], none, none}, raw);
    l_pop(j, self, &at, raw);
    return jn_none();
}

static jval l_reverse(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct jn_list *l = self.l;
    jn_work(j, l->n / 4);
    for (size_t i = 0; i < l->n / 2; i++) {
        jval v = l->v[i];
        l->v[i] = l->v[l->n - 1 - i];
        l->v[l->n - 1 - i] = v;
    }
    return jn_none();
}

static int by_value(struct jn *j, void *ctx, jval a, jval b)
{
    return *(bool *)ctx ? jn_order(j, b, a, "<") : jn_order(j, a, b, "<");
}

static jval l_sort(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    bool reverse = jn_given(a[0]) && jn_truth(a[0]);
    jn_sort(j, self.l->v, self.l->n, by_value, &reverse);
    return jn_none();
}

static jval l_copy(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return jn_to_list(j, self, JN_LIST);
}

static jval l_clear(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    self.l->n = 0;
    return jn_none();
}

const struct jn_func jn_list_methods[] = {
    {"append", l_append, "/ object"},
    {"extend", l_extend, "/ iterable"},
    {"insert", l_insert, "/ index object"},
    {"pop", l_pop, "/ index?"},
    {"index", l_index, "/ value start? stop?"},
    {"count", l_count, "/ value"},
    {"remove", l_remove, "/ value"},
    {"reverse", l_reverse, "/"},
    {"sort", l_sort, "reverse?"},
    {"copy", l_copy, "/"},
    {"clear", l_clear, "/"},
    {0},
};

/* ---- dicts ---- */

static jval view(struct jn *j, jval d, const char *tag, int what)
{
    jval out = jn_list(j, JN_VIEW, d.d->n_live);
    out.l->tag = tag;
    for (size_t i = 0; i < d.d->n; i++) {
        const struct jn_entry *e = &d.d->e[i];
        if (!e->live)
            continue;
        jval v = what == 0 ? e->key : e->value;
        if (what == 2) {
            v = jn_list(j, JN_TUPLE, 2);
            jn_push(j, v, e->key);
            jn_push(j, v, e->value);
        }
        jn_push(j, out, v);
    }
    return out;
}

static jval d_keys(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return view(j, self, "dict_keys", 0);
}

static jval d_values(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return view(j, self, "dict_values", 1);
}

static jval d_items(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return view(j, self, "dict_items", 2);
}

static jval d_get(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    jval *hit = jn_dict_get(j, self.d, a[0]);
    return hit ? *hit : jn_given(a[1]) ? a[1] : jn_none();
}

static jval d_pop(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    jval *hit = jn_dict_get(j, self.d, a[0]);
    if (!hit && !jn_given(a[1]))
        jn_fail(j, "pop: the dict has no such key");
    jval v = hit ? *hit : a[1];
    if (hit)
        jn_dict_del(j, self.d, a[0]);
    return v;
}

static jval d_popitem(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    for (size_t i = self.d->n; i-- > 0;) {
        struct jn_entry *e = &self.d->e[i];
        if (!e->live)
            continue;
        jval pair = jn_list(j, JN_TUPLE, 2);
        jn_push(j, pair, e->key);
        jn_push(j, pair, e->value);
        jn_dict_del(j, self.d, e->key);
        return pair;
    }
    jn_fail(j, "popitem: the dict is empty");
}

static jval d_setdefault(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    jval *hit = jn_dict_get(j, self.d, a[0]), v = jn_given(a[1]) ? a[1] : jn_none();
    if (hit)
        return *hit;
    jn_dict_set(j, self.d, a[0], v);
    return v;
}

/* What dict(...) and d.update(...) take: a mapping or pairs, then named ones. */
static void fill(struct jn *j, jval d, const struct jn_args *args, const char *who)
{
    jval item;
    if (args->n > 1)
        jn_fail(j, "%s expected at most 1 argument, got %d", who, args->n);
    if (args->n && args->pos[0].kind == JN_DICT) {
        const struct jn_dict *from = args->pos[0].d;
        for (size_t i = 0, n = from->n; i < n; i++)
            if (from->e[i].live)
                jn_dict_set(j, d.d, from->e[i].key, from->e[i].value);
    } else if (args->n) {
        struct jn_iter it = jn_iter(j, args->pos[0]);
        while (jn_next(j, &it, &item)) {
            jval pair = jn_to_list(j, item, JN_TUPLE);
            if (pair.l->n != 2)
                jn_fail(j, "%s: an item has length %zu; 2 is required", who, pair.l->n);
            jn_dict_set(j, d.d, pair.l->v[0], pair.l->v[1]);
        }
    }
    for (int i = 0; i < args->n_kw; i++)
        jn_dict_set(j, d.d, jn_str_keep(j, args->kw[i].name.p, args->kw[i].name.n), args->kw[i].v);
}

static jval d_update(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    fill(j, self, raw, "update");
    return jn_none();
}

static jval d_copy(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    jval out = jn_dict(j);
    fill(j, out, &(struct jn_args){.pos = &self, .n = 1}, "copy");
    return out;
}

static jval d_clear(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    *self.d = (struct jn_dict){0};
    return jn_none();
}

const struct jn_func jn_dict_methods[] = {
    {"keys", d_keys, "/"},
    {"values", d_values, "/"},
    {"items", d_items, "/"},
    {"get", d_get, "/ key default?"},
    {"pop", d_pop, "/ key default?"},
    {"popitem", d_popitem, "/"},
    {"setdefault", d_setdefault, "/ key default?"},
    {"update", d_update, "*"},
    {"copy", d_copy, "/"},
    {"clear", d_clear, "/"},
    {0},
};

/* ---- functions ---- */

static jval g_range(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    int64_t from = 0, to, step = jn_arg_int(j, a[2], 1);
    if (jn_given(a[1])) {
        from = jn_arg_int(j, a[0], 0);
        to = jn_arg_int(j, a[1], 0);
    } else {
        to = jn_arg_int(j, a[0], 0);
    }
    if (step == 0)
        jn_fail(j, "range() arg 3 must not be zero");
    jval out = jn_list(j, JN_RANGE, 0);
    for (int64_t i = from; step > 0 ? i < to : i > to;) {
        if (out.l->n == JN_RANGE_LIMIT)
            jn_fail(j, "range too big: more than %d items", JN_RANGE_LIMIT);
        jn_push(j, out, jn_int(i));
        if (__builtin_add_overflow(i, step, &i))
            break;
    }
    jn_work(j, out.l->n);
    char text[96];
    snprintf(text, sizeof text, step == 1 ? "range(%lld, %lld)" : "range(%lld, %lld, %lld)", (long long)from,
             (long long)to, (long long)step);
    out.l->tag = arena_dup(&j->arena, text, strlen(text));
    return out;
}

static jval g_lipsum(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    jn_fail(j, "lipsum() is not supported");
}

static jval g_dict(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    jval d = jn_dict(j);
    fill(j, d, raw, "dict");
    return d;
}

static jval g_namespace(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    jval d = jn_dict(j);
    fill(j, d, raw, "namespace");
    d.kind = JN_NAMESPACE;
    return d;
}

static jval new_cycler(struct jn *j, enum jn_kind kind, const jval *v, size_t n)
{
    struct jn_cycler *c = jn_alloc(j, sizeof *c);
    c->v = jn_alloc(j, n * sizeof *v);
    memcpy(c->v, v, n * sizeof *v);
    c->n = n;
    return (jval){.kind = kind, .cycler = c};
}

static jval g_cycler(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    if (!raw->n)
        jn_fail(j, "at least one item has to be provided");
    return new_cycler(j, JN_CYCLER, raw->pos, (size_t)raw->n);
}

static jval g_joiner(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    jval sep = jn_given(a[0]) ? a[0] : jn_strz(j, ", ");
    return new_cycler(j, JN_JOINER, &sep, 1);
}

static jval c_next(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct jn_cycler *c = self.cycler;
    jval v = c->v[c->pos];
    c->pos = (c->pos + 1) % c->n;
    return v;
}

static jval c_reset(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    self.cycler->pos = 0;
    return jn_none();
}

const struct jn_func jn_cycler_methods[] = {{"next", c_next, ""}, {"reset", c_reset, ""}, {0}};

static jval g_raise(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct str s = jn_s(jn_to_str(j, a[0]));
    jn_fail(j, "the template refuses: %.*s", s.n > 300 ? 300 : (int)s.n, s.p);
}

/* Midnight of the given date, or now. */
static jval g_strftime_now(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct tm tm = {0};
    char out[1024], format[256];
    struct str s = jn_s(jn_to_str(j, a[0]));
    if (s.n >= sizeof format)
        jn_limit(j, "strftime_now: a format of more than %zu bytes", sizeof format - 1);
    memcpy(format, s.p, s.n);
    format[s.n] = 0;
    if (j->date.n) {
        char date[16] = {0};
        memcpy(date, j->date.p, j->date.n < 15 ? j->date.n : 15);
        if (j->date.n != 10 || sscanf(date, "%4d-%2d-%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday) != 3 ||
            tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_year < 1)
            jn_fail(j, "date '" STR_FMT "' is not YYYY-MM-DD", STR_ARG(j->date));
        tm.tm_year -= 1900;
        tm.tm_mon--;
        tm.tm_isdst = -1;
        timegm(&tm); /* fills the day of the week and of the year */
    } else {
        time_t now = time(NULL);
        localtime_r(&now, &tm);
    }
    return jn_str(j, out, s.n ? strftime(out, sizeof out, format, &tm) : 0);
}

const struct jn_func jn_globals[] = {
    {"range", g_range, "/ start stop? step?"},
    {"lipsum", g_lipsum, "*"},
    {"dict", g_dict, "*"},
    {"namespace", g_namespace, "*"},
    {"cycler", g_cycler, "*"},
    {"joiner", g_joiner, "sep?"},
    {"raise_exception", g_raise, "message"},
    {"strftime_now", g_strftime_now, "format"},
    {0},
};
