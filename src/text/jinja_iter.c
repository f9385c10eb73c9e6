/* Jinja: iteration, slices, sorting. */
#include "text/jinja.h"
#include "base/utf8.h"

struct jn_iter jn_iter(struct jn *j, jval v)
{
    switch (v.kind) {
    case JN_UNDEFINED:
    case JN_STR:
    case JN_DICT:
        break;
    default:
        if (!jn_is_seq(v))
            jn_fail(j, "'%s' object is not iterable", jn_kind_name(v));
    }
    return (struct jn_iter){.v = v};
}

bool jn_next(struct jn *j, struct jn_iter *it, jval *out)
{
    jn_work(j, 1);
    switch (it->v.kind) {
    case JN_STR: {
        struct jn_string *s = it->v.s;
        uint32_t cp;
        if (it->at >= s->n)
            return false;
        int step = utf8_get(s->p + it->at, s->n - it->at, &cp);
        step = step ? step : 1;
        *out = jn_str_keep(j, s->p + it->at, (size_t)step);
        it->at += (size_t)step;
        return true;
    }
    case JN_DICT:
        while (it->at < it->v.d->n && !it->v.d->e[it->at].live)
            it->at++;
        if (it->at >= it->v.d->n)
            return false;
        *out = it->v.d->e[it->at++].key;
        return true;
    case JN_GEN:
        if (it->v.l->pos >= it->v.l->n)
            return false;
        *out = it->v.l->v[it->v.l->pos++];
        return true;
    case JN_LIST:
    case JN_TUPLE:
    case JN_RANGE:
    case JN_VIEW:
        if (it->at >= it->v.l->n)
            return false;
        *out = it->v.l->v[it->at++];
        return true;
    default:
        return false;
    }
}

jval jn_to_list(struct jn *j, jval v, enum jn_kind kind)
{
    int64_t n = jn_len(j, v);
    jval l = jn_list(j, kind, n > 0 ? (size_t)n : 0), item;
    struct jn_iter it = jn_iter(j, v);
    while (jn_next(j, &it, &item))
        jn_push(j, l, item);
    return l;
}

int64_t jn_len(struct jn *j, jval v)
{
    switch (v.kind) {
    case JN_UNDEFINED:
        return 0;
    case JN_STR:
        return (int64_t)jn_n_char(v);
    case JN_DICT:
        return (int64_t)v.d->n_live;
    case JN_LIST:
    case JN_TUPLE:
    case JN_RANGE:
    case JN_VIEW:
        return (int64_t)v.l->n;
    default:
        return -1;
    }
}

/* ---- indexing ---- */

/* Byte offset of character i of a string. */
static size_t char_at(jval v, size_t i)
{
    if (jn_n_char(v) == v.s->n)
        return i;
    size_t at = 0;
    for (; at < v.s->n; at++)
        if (((unsigned char)v.s->p[at] & 0xc0) != 0x80 && i-- == 0)
            break;
    return at;
}

jval jn_index(struct jn *j, jval v, int64_t i, bool *found)
{
    int64_t n = jn_len(j, v);
    i += i < 0 ? n : 0;
    *found = i >= 0 && i < n;
    if (!*found)
        return jn_undefined(NULL);
    if (v.kind != JN_STR)
        return v.l->v[i];
    jn_work(j, v.s->n / 64);
    size_t from = char_at(v, (size_t)i), to = from + 1;
    while (to < v.s->n && ((unsigned char)v.s->p[to] & 0xc0) == 0x80)
        to++;
    return jn_mark(j, jn_str_keep(j, v.s->p + from, to - from), v.s->safe);
}

static int64_t slice_bound(struct jn *j, jval v, int64_t absent, int64_t n, int64_t low, int64_t high)
{
    if (v.kind == JN_MISSING || v.kind == JN_NONE)
        return absent;
    if (v.kind != JN_INT && v.kind != JN_BOOL)
        jn_fail(j, "slice indices must be integers or None");
    int64_t i = v.kind == JN_BOOL ? v.b : v.i;
    if (i < 0)
        i = i < -n ? low - 1 : i + n;
    return i < low ? low : i > high ? high : i;
}

static struct jn_slice slice_of(struct jn *j, int64_t n, jval from, jval to, jval step)
{
    struct jn_slice s = {.step = 1};
    if (step.kind == JN_INT || step.kind == JN_BOOL)
        s.step = step.kind == JN_BOOL ? step.b : step.i;
    else if (step.kind != JN_MISSING && step.kind != JN_NONE)
        jn_fail(j, "slice indices must be integers or None");
    if (s.step == 0)
        jn_fail(j, "slice step cannot be zero");
    bool up = s.step > 0;
    int64_t low = up ? 0 : -1, high = up ? n : n - 1;
    s.from = slice_bound(j, from, up ? 0 : n - 1, n, low, high);
    s.to = slice_bound(j, to, up ? n : -1, n, low, high);
    int64_t span = up ? s.to - s.from : s.from - s.to, pace = s.step == INT64_MIN ? INT64_MAX
                                                              : up                ? s.step
                                                                                  : -s.step;
    s.n = span > 0 ? (size_t)((span - 1) / pace + 1) : 0;
    return s;
}

static jval slice_str(struct jn *j, jval v, struct jn_slice s)
{
    if (s.n == 0)
        return jn_strz(j, "");
    jn_work(j, v.s->n / 64);
    if (s.step == 1) {
        size_t from = char_at(v, (size_t)s.from),
               to = s.to >= (int64_t)jn_n_char(v) ? v.s->n : char_at(v, (size_t)s.to);
        return jn_str_keep(j, v.s->p + from, to - from);
    }
    jval all = jn_to_list(j, v, JN_LIST);
    char *p = jn_alloc(j, s.n * 4 + 1);
    size_t n = 0;
    for (size_t k = 0; k < s.n; k++) {
        struct str c = jn_s(all.l->v[s.from + (int64_t)k * s.step]);
        memcpy(p + n, c.p, c.n);
        n += c.n;
    }
    return jn_str_keep(j, p, n);
}

jval jn_slice(struct jn *j, jval v, jval from, jval to, jval step)
{
    if (v.kind != JN_STR && v.kind != JN_LIST && v.kind != JN_TUPLE && v.kind != JN_RANGE)
        jn_fail(j, "'%s' object cannot be sliced",
                v.kind == JN_UNDEFINED && v.name ? v.name : jn_kind_name(v));
    struct jn_slice s = slice_of(j, jn_len(j, v), from, to, step);
    if (v.kind == JN_STR)
        return jn_mark(j, slice_str(j, v, s), v.s->safe);
    jval out = jn_list(j, v.kind, s.n);
    for (size_t k = 0; k < s.n; k++)
        jn_push(j, out, v.l->v[s.from + (int64_t)k * s.step]);
    return out;
}

/* ---- sorting: stable, by merging; the comparison may fail and leave ---- */

void jn_sort(struct jn *j, jval *v, size_t n, int (*order)(struct jn *j, void *ctx, jval a, jval b),
             void *ctx)
{
    if (n < 2)
        return;
    jval *from = v, *to = jn_alloc(j, n * sizeof *to);
    for (size_t width = 1; width < n; width *= 2) {
        jn_work(j, n);
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            size_t mid = lo + width < n ? lo + width : n, hi = lo + 2 * width < n ? lo + 2 * width : n;
            size_t a = lo, b = mid, k = lo;
            while (a < mid && b < hi)
                to[k++] = order(j, ctx, from[b], from[a]) < 0 ? from[b++] : from[a++];
            while (a < mid)
                to[k++] = from[a++];
            while (b < hi)
                to[k++] = from[b++];
        }
        jval *swap = from;
        from = to;
        to = swap;
    }
    if (from != v)
        memcpy(v, from, n * sizeof *v);
}
