/* Jinja filters over sequences. */
#include "text/jinja.h"
#include <stdlib.h>

static bool flag(jval v, bool absent)
{
    return jn_given(v) ? jn_truth(v) : absent;
}

static jval gen(struct jn *j)
{
    return jn_list(j, JN_GEN, 0);
}

/* ---- what is looked at: an attribute path, with case folded away ---- */

struct getter {
    jval path; /* list of keys, or MISSING */
    jval absent;
    bool fold;
};

static jval path_of(struct jn *j, jval attribute)
{
    if (!jn_given(attribute) || attribute.kind == JN_NONE)
        return (jval){.kind = JN_MISSING};
    jval path = jn_list(j, JN_LIST, 1);
    if (attribute.kind != JN_STR) {
        jn_push(j, path, attribute);
        return path;
    }
    struct str s = jn_s(attribute);
    for (size_t from = 0; from <= s.n;) {
        const char *dot = from < s.n ? memchr(s.p + from, '.', s.n - from) : NULL;
        size_t to = dot ? (size_t)(dot - s.p) : s.n;
        int64_t index = 0;
        bool digits = to > from && to - from < 18;
        for (size_t i = from; i < to; i++) {
            digits = digits && s.p[i] >= '0' && s.p[i] <= '9';
            index = digits ? index * 10 + (s.p[i] - '0') : 0;
        }
        jn_push(j, path, digits ? jn_int(index) : jn_str_keep(j, s.p + from, to - from));
        from = to + 1;
    }
    return path;
}

static jval get(struct jn *j, const struct getter *g, jval v)
{
    if (jn_given(g->path))
        for (size_t i = 0; i < g->path.l->n; i++) {
            v = jn_item(j, v, g->path.l->v[i]);
            if (v.kind == JN_UNDEFINED && jn_given(g->absent))
                v = g->absent;
        }
    return g->fold && v.kind == JN_STR ? jn_recase(j, jn_s(v), JN_LOWER) : v;
}

static struct getter getter(struct jn *j, jval attribute, jval case_sensitive)
{
    return (struct getter){
        .path = path_of(j, attribute), .absent = {.kind = JN_MISSING}, .fold = !flag(case_sensitive, false)};
}

/* ---- order ---- */

struct keyed {
    bool reverse;
};

static int by_first(struct jn *j, void *ctx, jval a, jval b)
{
    struct keyed *k = ctx; /* reversed, equal ones still keep their order */
    return k->reverse ? jn_order(j, b.l->v[0], a.l->v[0], "<") : jn_order(j, a.l->v[0], b.l->v[0], "<");
}

/* Sorted (key, item) pairs. */
static jval sorted_pairs(struct jn *j, jval v, const struct getter *g, bool reverse)
{
    jval pairs = jn_list(j, JN_LIST, 0), item;
    struct jn_iter it = jn_iter(j, v);
    struct keyed k = {reverse};
    while (jn_next(j, &it, &item)) {
        jval pair = jn_list(j, JN_TUPLE, 2);
        jn_push(j, pair, get(j, g, item));
        jn_push(j, pair, item);
        jn_push(j, pairs, pair);
    }
    jn_sort(j, pairs.l->v, pairs.l->n, by_first, &k);
    return pairs;
}

static jval f_sort(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct getter g = getter(j, jn_none(), a[1]);
    jval attribute = a[2];
    if (jn_given(attribute) && attribute.kind == JN_STR && memchr(attribute.s->p, ',', attribute.s->n)) {
        jn_fail(j, "sort: several attributes are not supported");
    }
    g.path = path_of(j, attribute);
    jval pairs = sorted_pairs(j, v, &g, flag(a[0], false)), out = jn_list(j, JN_LIST, pairs.l->n);
    for (size_t i = 0; i < pairs.l->n; i++)
        jn_push(j, out, pairs.l->v[i].l->v[1]);
    return out;
}

static jval dict_items(struct jn *j, jval v, enum jn_kind kind)
{
    if (v.kind != JN_DICT)
        jn_fail(j,
                v.kind == JN_UNDEFINED ? "'%s' is undefined"
                                       : "can only get the items of a mapping, not of %s",
                v.kind == JN_UNDEFINED ? (v.name ? v.name : "value") : jn_kind_name(v));
    jval out = jn_list(j, kind, v.d->n_live);
    for (size_t i = 0; i < v.d->n; i++)
        if (v.d->e[i].live) {
            jval pair = jn_list(j, JN_TUPLE, 2);
            jn_push(j, pair, v.d->e[i].key);
            jn_push(j, pair, v.d->e[i].value);
            jn_push(j, out, pair);
        }
    return out;
}

static jval f_dictsort(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct getter g = getter(j, jn_int(0), a[0]);
    if (jn_given(a[1])) {
        if (a[1].kind == JN_STR && str_is(jn_s(a[1]), "value"))
            g = getter(j, jn_int(1), a[0]);
        else if (a[1].kind != JN_STR || !str_is(jn_s(a[1]), "key"))
            jn_fail(j, "dictsort: by must be 'key' or 'value'");
    }
    jval pairs = sorted_pairs(j, dict_items(j, v, JN_LIST), &g, flag(a[2], false)),
         out = jn_list(j, JN_LIST, pairs.l->n);
    for (size_t i = 0; i < pairs.l->n; i++)
        jn_push(j, out, pairs.l->v[i].l->v[1]);
    return out;
}

static jval f_items(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    return v.kind == JN_UNDEFINED ? gen(j) : dict_items(j, v, JN_GEN);
}

static jval f_groupby(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct getter g = getter(j, a[0], a[2]), plain;
    g.absent = a[1];
    plain = g;
    plain.fold = false;
    jval pairs = sorted_pairs(j, v, &g, false), out = jn_list(j, JN_LIST, 0);
    for (size_t i = 0; i < pairs.l->n;) {
        jval key = pairs.l->v[i].l->v[0], group = jn_list(j, JN_TUPLE, 2), list = jn_list(j, JN_LIST, 0);
        jn_push(j, group, get(j, &plain, pairs.l->v[i].l->v[1]));
        jn_push(j, group, list);
        group.l->group = true;
        for (; i < pairs.l->n && jn_equal(j, pairs.l->v[i].l->v[0], key); i++)
            jn_push(j, list, pairs.l->v[i].l->v[1]);
        jn_push(j, out, group);
    }
    return out;
}

static jval f_unique(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct getter g = getter(j, a[1], a[0]);
    jval out = gen(j), seen = jn_dict(j), item;
    struct jn_iter it = jn_iter(j, v);
    while (jn_next(j, &it, &item)) {
        jval key = get(j, &g, item);
        if (jn_dict_get(j, seen.d, key))
            continue;
        jn_dict_set(j, seen.d, key, jn_none());
        jn_push(j, out, item);
    }
    return out;
}

static jval extreme(struct jn *j, jval v, jval *a, int sign)
{
    struct getter g = getter(j, a[1], a[0]);
    struct jn_iter it = jn_iter(j, v);
    jval best, item, best_key;
    if (!jn_next(j, &it, &best))
        return jn_undefined("no aggregated item, sequence was empty");
    best_key = get(j, &g, best);
    while (jn_next(j, &it, &item)) {
        jval key = get(j, &g, item);
        if (jn_order(j, key, best_key, "<") * sign > 0) {
            best = item;
            best_key = key;
        }
    }
    return best;
}

static jval f_min(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    return extreme(j, v, a, -1);
}

static jval f_max(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    return extreme(j, v, a, 1);
}

/* ---- selection ---- */

static jval run_filter(struct jn *j, struct str name, jval v, const struct jn_args *args)
{
    const struct jn_func *f = jn_find_filter(name);
    if (!f)
        jn_fail(j, "no filter named '" STR_FMT "'", STR_ARG(name));
    return jn_call_func(j, f, v, args);
}

static jval f_map(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    jval out = gen(j), item;
    if (!jn_truth(v)) /* also what cannot be iterated, such as none */
        return out;
    struct jn_iter it = jn_iter(j, v);
    if (raw->n == 0) {
        struct getter g = {.path = {.kind = JN_MISSING}, .absent = {.kind = JN_MISSING}};
        for (int i = 0; i < raw->n_kw; i++) {
            if (str_is(raw->kw[i].name, "attribute"))
                g.path = path_of(j, raw->kw[i].v);
            else if (str_is(raw->kw[i].name, "default"))
                g.absent = raw->kw[i].v;
            else
                jn_fail(j, "map: unexpected argument '" STR_FMT "'", STR_ARG(raw->kw[i].name));
        }
        if (!jn_given(g.path))
            jn_fail(j, "map requires a filter argument");
        while (jn_next(j, &it, &item))
            jn_push(j, out, get(j, &g, item));
        return out;
    }
    if (raw->pos[0].kind != JN_STR)
        jn_fail(j, "map: the name of a filter is wanted");
    struct jn_args rest = {raw->pos + 1, raw->n - 1, raw->kw, raw->n_kw};
    while (jn_next(j, &it, &item))
        jn_push(j, out, run_filter(j, jn_s(raw->pos[0]), item, &rest));
    return out;
}

static jval choose(struct jn *j, jval v, const struct jn_args *raw, bool by_attr, bool keep)
{
    jval out = gen(j), item;
    struct getter g = {.path = {.kind = JN_MISSING}, .absent = {.kind = JN_MISSING}};
    struct jn_args rest = *raw;
    const struct jn_func *test = NULL;
    if (!jn_truth(v)) /* also what cannot be iterated, such as none */
        return out;
    if (by_attr) {
        if (!raw->n)
            jn_fail(j, "missing parameter for attribute name");
        g.path = path_of(j, raw->pos[0]);
        rest.pos++;
        rest.n--;
    }
    if (rest.n) {
        test = rest.pos[0].kind == JN_STR ? jn_find_func(jn_tests, jn_s(rest.pos[0])) : NULL;
        if (!test)
            jn_fail(j, "no test named '" STR_FMT "'", STR_ARG(jn_s(jn_to_str(j, rest.pos[0]))));
        rest.pos++;
        rest.n--;
    }
    struct jn_iter it = jn_iter(j, v);
    while (jn_next(j, &it, &item)) {
        jval seen = get(j, &g, item);
        if ((test ? jn_apply_test(j, test, seen, &rest) : jn_truth(seen)) == keep)
            jn_push(j, out, item);
    }
    return out;
}

#define CHOOSE(name, by_attr, keep)                                            \
    static jval name(struct jn *j, jval v, jval *a, const struct jn_args *raw) \
    {                                                                          \
        return choose(j, v, raw, by_attr, keep);                               \
    }
CHOOSE(f_select, false, true)
CHOOSE(f_reject, false, false)
CHOOSE(f_selectattr, true, true)
CHOOSE(f_rejectattr, true, false)

/* ---- the rest ---- */

static jval f_length(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    int64_t n = jn_len(j, v);
    if (n < 0)
        jn_fail(j, "object of type '%s' has no len()", jn_kind_name(v));
    return jn_int(n);
}

static jval f_list(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    return jn_to_list(j, v, JN_LIST);
}

static jval f_first(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct jn_iter it = jn_iter(j, v);
    jval item;
    return jn_next(j, &it, &item) ? item : jn_undefined("no first item, sequence was empty");
}

static jval f_last(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    if (v.kind == JN_GEN || (jn_len(j, v) < 0))
        jn_fail(j, "'%s' object is not reversible", jn_kind_name(v));
    if (v.kind == JN_UNDEFINED)
        jn_fail(j, "'%s' is undefined", v.name ? v.name : "value");
    jval all = jn_to_list(j, v, JN_LIST);
    return all.l->n ? all.l->v[all.l->n - 1] : jn_undefined("no last item, sequence was empty");
}

static jval f_reverse(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    if (v.kind == JN_STR)
        return jn_slice(j, v, jn_none(), jn_none(), jn_int(-1));
    jval all = jn_to_list(j, v, JN_LIST), out = jn_list(j, v.kind == JN_GEN ? JN_LIST : JN_GEN, all.l->n);
    for (size_t i = all.l->n; i-- > 0;)
        jn_push(j, out, all.l->v[i]);
    return out;
}

static jval f_join(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct getter g = {.path = path_of(j, a[1]), .absent = {.kind = JN_MISSING}};
    jval sep = jn_given(a[0]) ? jn_to_str(j, a[0]) : jn_strz(j, ""), item;
    struct jn_iter it = jn_iter(j, v);
    struct jn_out o = {0};
    for (bool first = true; jn_next(j, &it, &item); first = false) {
        if (!first)
            jn_put(j, &o, sep.s->p, sep.s->n);
        jn_put_str(j, &o, get(j, &g, item));
    }
    return jn_out_str(j, &o);
}

static jval f_sum(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    struct getter g = {.path = path_of(j, a[0]), .absent = {.kind = JN_MISSING}};
    jval total = jn_given(a[1]) ? a[1] : jn_int(0), item;
    struct jn_iter it = jn_iter(j, v);
    if (total.kind == JN_STR)
        jn_fail(j, "sum() can't sum strings");
    while (jn_next(j, &it, &item))
        total = jn_binary(j, '+', total, get(j, &g, item));
    return total;
}

static jval f_batch(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    int64_t size = jn_arg_int(j, a[0], 1);
    jval out = gen(j), row = jn_list(j, JN_LIST, 0), item;
    struct jn_iter it = jn_iter(j, v);
    while (jn_next(j, &it, &item)) {
        if ((int64_t)row.l->n == size) {
            jn_push(j, out, row);
            row = jn_list(j, JN_LIST, 0);
        }
        jn_push(j, row, item);
    }
    if (row.l->n) {
        while (jn_given(a[1]) && a[1].kind != JN_NONE && (int64_t)row.l->n < size)
            jn_push(j, row, a[1]);
        jn_push(j, out, row);
    }
    return out;
}

static jval f_slice(struct jn *j, jval v, jval *a, const struct jn_args *raw)
{
    int64_t slices = jn_arg_int(j, a[0], 1);
    jval all = jn_to_list(j, v, JN_LIST), out = gen(j);
    if (slices <= 0)
        jn_fail(j, "slice: the number of slices must be positive");
    int64_t n = (int64_t)all.l->n, per = n / slices, more = n % slices, at = 0;
    for (int64_t i = 0; i < slices; i++) {
        jval row = jn_list(j, JN_LIST, 0);
        int64_t end = at + per + (i < more);
        jn_work(j, 1);
        while (at < end)
            jn_push(j, row, all.l->v[at++]);
        if (jn_given(a[1]) && a[1].kind != JN_NONE && i >= more)
            jn_push(j, row, a[1]);
        jn_push(j, out, row);
    }
    return out;
}

const struct jn_func jn_filters_seq[] = {
    {"length", f_length, ""},
    {"count", f_length, ""},
    {"list", f_list, ""},
    {"first", f_first, ""},
    {"last", f_last, ""},
    {"reverse", f_reverse, ""},
    {"join", f_join, "d? attribute?"},
    {"sum", f_sum, "attribute? start?"},
    {"min", f_min, "case_sensitive? attribute?"},
    {"max", f_max, "case_sensitive? attribute?"},
    {"sort", f_sort, "reverse? case_sensitive? attribute?"},
    {"dictsort", f_dictsort, "case_sensitive? by? reverse?"},
    {"items", f_items, ""},
    {"groupby", f_groupby, "attribute default? case_sensitive?"},
    {"unique", f_unique, "case_sensitive? attribute?"},
    {"map", f_map, "*"},
    {"select", f_select, "*"},
    {"reject", f_reject, "*"},
    {"selectattr", f_selectattr, "*"},
    {"rejectattr", f_rejectattr, "*"},
    {"batch", f_batch, "linecount fill_with?"},
    {"slice", f_slice, "slices fill_with?"},
    {0},
};
