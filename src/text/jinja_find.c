/* Jinja: methods of strings that search: split, replace, find, startswith and their like. */
#include "text/jinja.h"
#include "base/utf8.h"

static struct str need_str(struct jn *j, jval v)
{
    if (v.kind != JN_STR)
        jn_fail(j, "wanted a string, not %s", jn_kind_name(v));
    return jn_s(v);
}

static const char *find(struct jn *j, const char *p, const char *end, struct str what)
{
    const char *hit = memmem(p, (size_t)(end - p), what.p, what.n);
    jn_work(j, (size_t)((hit ? hit : end) - p) / 16 + 1);
    return hit;
}

/* The last place of `what` in s, or NULL. */
static const char *find_last(struct jn *j, struct str s, struct str what)
{
    if (what.n > s.n)
        return NULL;
    for (size_t i = s.n - what.n + 1; i-- > 0;) {
        jn_work(j, what.n / 16 + (i % 16 == 0));
        if (memcmp(s.p + i, what.p, what.n) == 0)
            return s.p + i;
    }
    return NULL;
}

/* ---- split ---- */

static jval keep(struct jn *j, const char *from, const char *to)
{
    return jn_str_keep(j, from, (size_t)(to - from));
}

/* At white space, runs counting as one. */
static jval split_blank(struct jn *j, struct str s, int64_t max)
{
    jval out = jn_list(j, JN_LIST, 0);
    for (;;) {
        s = jn_trim(s, NULL, true, false);
        if (!s.n)
            return out;
        size_t i = 0;
        if (max >= 0 && (int64_t)out.l->n == max) {
            s = jn_trim(s, NULL, false, false);
            jn_push(j, out, jn_str_keep(j, s.p, s.n));
            return out;
        }
        while (i < s.n) {
            uint32_t c = 0;
            int step = utf8_get(s.p + i, s.n - i, &c);
            if (jn_is_space(c))
                break;
            i += step ? (size_t)step : 1;
        }
        jn_work(j, i / 16 + 1);
        jn_push(j, out, jn_str_keep(j, s.p, i));
        s = (struct str){s.p + i, s.n - i};
    }
}

static jval reversed(struct jn *j, jval l)
{
    jval out = jn_list(j, JN_LIST, l.l->n);
    for (size_t i = l.l->n; i-- > 0;)
        jn_push(j, out, l.l->v[i]);
    return out;
}

static jval rsplit_blank(struct jn *j, struct str s, int64_t max)
{
    jval out = jn_list(j, JN_LIST, 0);
    for (;;) {
        s = jn_trim(s, NULL, false, true);
        if (!s.n)
            return reversed(j, out);
        if (max >= 0 && (int64_t)out.l->n == max) {
            jn_push(j, out, jn_str_keep(j, s.p, s.n));
            return reversed(j, out);
        }
        size_t i = s.n;
        while (i > 0) {
            size_t k = i - 1;
            uint32_t c = 0;
            while (k > 0 && ((unsigned char)s.p[k] & 0xc0) == 0x80)
                k--;
            if (utf8_get(s.p + k, i - k, &c) && jn_is_space(c))
                break;
            i = k;
        }
        jn_work(j, (s.n - i) / 16 + 1);
        jn_push(j, out, jn_str_keep(j, s.p + i, s.n - i));
        s.n = i;
    }
}

static jval s_split(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    int64_t max = jn_arg_int(j, a[1], -1);
    struct str s = jn_s(self);
    if (!jn_given(a[0]) || a[0].kind == JN_NONE)
        return split_blank(j, s, max);
    struct str sep = need_str(j, a[0]);
    if (!sep.n)
        jn_fail(j, "split: empty separator");
    jval out = jn_list(j, JN_LIST, 0);
    const char *p = s.p, *end = s.p + s.n, *hit;
    while ((max < 0 || (int64_t)out.l->n < max) && (hit = find(j, p, end, sep))) {
        jn_push(j, out, keep(j, p, hit));
        p = hit + sep.n;
    }
    jn_push(j, out, keep(j, p, end));
    return out;
}

static jval s_rsplit(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    int64_t max = jn_arg_int(j, a[1], -1);
    struct str s = jn_s(self);
    if (!jn_given(a[0]) || a[0].kind == JN_NONE)
        return rsplit_blank(j, s, max);
    struct str sep = need_str(j, a[0]);
    if (!sep.n)
        jn_fail(j, "rsplit: empty separator");
    jval out = jn_list(j, JN_LIST, 0);
    const char *hit;
    while ((max < 0 || (int64_t)out.l->n < max) && (hit = find_last(j, s, sep))) {
        jn_push(j, out, keep(j, hit + sep.n, s.p + s.n));
        s.n = (size_t)(hit - s.p);
    }
    jn_push(j, out, jn_str_keep(j, s.p, s.n));
    return reversed(j, out);
}

static jval partition(struct jn *j, jval self, jval sep_v, bool last)
{
    struct str s = jn_s(self), sep = need_str(j, sep_v);
    jval out = jn_list(j, JN_TUPLE, 3), empty = jn_strz(j, "");
    if (!sep.n)
        jn_fail(j, "partition: empty separator");
    const char *hit = last ? find_last(j, s, sep) : find(j, s.p, s.p + s.n, sep);
    if (!hit) {
        jn_push(j, out, last ? empty : self);
        jn_push(j, out, empty);
        jn_push(j, out, last ? self : empty);
        return out;
    }
    jn_push(j, out, keep(j, s.p, hit));
    jn_push(j, out, sep_v);
    jn_push(j, out, keep(j, hit + sep.n, s.p + s.n));
    return out;
}

static jval s_partition(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return partition(j, self, a[0], false);
}

static jval s_rpartition(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return partition(j, self, a[0], true);
}

/* ---- replace ---- */

/* An empty `old` stands between all characters. */
static jval replace_empty(struct jn *j, struct str s, struct str to, int64_t max)
{
    struct jn_out o = {0};
    int64_t n = 0;
    for (size_t i = 0; i <= s.n;) {
        uint32_t c;
        if (max < 0 || n < max)
            jn_put(j, &o, to.p, to.n);
        n++;
        if (i == s.n)
            break;
        int step = utf8_get(s.p + i, s.n - i, &c);
        step = step ? step : 1;
        jn_work(j, 1);
        jn_put(j, &o, s.p + i, (size_t)step);
        i += (size_t)step;
    }
    return jn_out_str(j, &o);
}

static jval s_replace(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct str s = jn_s(self), old = need_str(j, a[0]), to = need_str(j, a[1]);
    if (self.s->safe)
        to = jn_s(jn_escape(j, a[1]));
    int64_t max = jn_arg_int(j, a[2], -1);
    if (!old.n)
        return replace_empty(j, s, to, max);
    struct jn_out o = {0};
    const char *p = s.p, *end = s.p + s.n, *hit;
    for (int64_t n = 0; (max < 0 || n < max) && (hit = find(j, p, end, old)); n++) {
        jn_put(j, &o, p, (size_t)(hit - p));
        jn_put(j, &o, to.p, to.n);
        p = hit + old.n;
    }
    jn_put(j, &o, p, (size_t)(end - p));
    return jn_out_str(j, &o);
}

/* ---- places ---- */

/* The part of a string that start and end, in characters, leave; false if start is past the end. */
static bool range_of(struct jn *j, jval self, jval start, jval end, struct str *out, int64_t *first)
{
    int64_t n = (int64_t)jn_n_char(self);
    int64_t from = start.kind == JN_NONE ? 0 : jn_arg_int(j, start, 0),
            to = end.kind == JN_NONE ? n : jn_arg_int(j, end, n);
    from = from < 0 ? from + n < 0 ? 0 : from + n : from;
    to = to < 0 ? to + n < 0 ? 0 : to + n : to > n ? n : to;
    *first = from;
    if (from > n || from > to)
        return false;
    *out = jn_s(jn_slice(j, self, jn_int(from), jn_int(to), jn_none()));
    return true;
}

static int64_t chars_between(const char *from, const char *to)
{
    int64_t n = 0;
    for (; from < to; from++)
        n += ((unsigned char)*from & 0xc0) != 0x80;
    return n;
}

static int64_t place(struct jn *j, jval self, jval *a, bool last)
{
    struct str what = need_str(j, a[0]), s;
    int64_t first;
    if (!range_of(j, self, a[1], a[2], &s, &first))
        return -1;
    const char *hit = last ? find_last(j, s, what) : find(j, s.p, s.p + s.n, what);
    return hit ? first + chars_between(s.p, hit) : -1;
}

static jval s_find(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return jn_int(place(j, self, a, false));
}

static jval s_rfind(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return jn_int(place(j, self, a, true));
}

static jval s_index(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    int64_t i = place(j, self, a, false);
    if (i < 0)
        jn_fail(j, "substring not found");
    return jn_int(i);
}

static jval s_rindex(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    int64_t i = place(j, self, a, true);
    if (i < 0)
        jn_fail(j, "substring not found");
    return jn_int(i);
}

static jval s_count(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    struct str what = need_str(j, a[0]), s;
    int64_t first, n = 0;
    if (!range_of(j, self, a[1], a[2], &s, &first))
        return jn_int(0);
    if (!what.n)
        return jn_int(chars_between(s.p, s.p + s.n) + 1);
    for (const char *p = s.p, *end = s.p + s.n, *hit; (hit = find(j, p, end, what)); p = hit + what.n)
        n++;
    return jn_int(n);
}

static bool edge(struct jn *j, jval self, jval *a, bool start)
{
    struct str s;
    int64_t first;
    jval options = a[0], item;
    if (options.kind != JN_TUPLE) {
        need_str(j, options);
        options = jn_list(j, JN_TUPLE, 1);
        jn_push(j, options, a[0]);
    }
    bool any = range_of(j, self, a[1], a[2], &s, &first);
    struct jn_iter it = jn_iter(j, options);
    while (jn_next(j, &it, &item)) {
        struct str what = need_str(j, item);
        if (any && what.n <= s.n && str_eq((struct str){start ? s.p : s.p + s.n - what.n, what.n}, what))
            return true;
    }
    return false;
}

static jval s_startswith(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return jn_bool(edge(j, self, a, true));
}

static jval s_endswith(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    return jn_bool(edge(j, self, a, false));
}

const struct jn_func jn_str_find_methods[] = {
    {"split", s_split, "sep? maxsplit?"},
    {"rsplit", s_rsplit, "sep? maxsplit?"},
    {"partition", s_partition, "/ sep"},
    {"rpartition", s_rpartition, "/ sep"},
    {"replace", s_replace, "/ old new count?"},
    {"find", s_find, "/ sub start? end?"},
    {"rfind", s_rfind, "/ sub start? end?"},
    {"index", s_index, "/ sub start? end?"},
    {"rindex", s_rindex, "/ sub start? end?"},
    {"count", s_count, "/ sub start? end?"},
    {"startswith", s_startswith, "/ prefix start? end?"},
    {"endswith", s_endswith, "/ suffix start? end?"},
    {0},
};
