/* Character classes and normalization forms over utf8proc's tables. */
#include "text/unicode.h"
#include "base/mem.h"
#include "text/unicode_tab.h"

#define C(name) (1u << UTF8PROC_CATEGORY_##name)
#define PUNCT (C(PC) | C(PD) | C(PS) | C(PE) | C(PI) | C(PF) | C(PO))
#define LETTER (C(LU) | C(LL) | C(LT) | C(LM) | C(LO))
#define MARK (C(MN) | C(MC) | C(ME))

static bool in_ranges(uint32_t c, const struct range *r, size_t n)
{
    while (n) {
        size_t mid = n / 2;
        if (c > r[mid].to) {
            r += mid + 1;
            n -= mid + 1;
        } else if (c < r[mid].from) {
            n = mid;
        } else {
            return true;
        }
    }
    return false;
}
#define IN(c, table) in_ranges(c, table, sizeof(table) / sizeof *(table))

bool uni_is_space(uint32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 ||
           (c >= 0xa0 && uni_is_category(c, C(ZS) | C(ZL) | C(ZP)));
}

bool uni_is_word(uint32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (uni_is_category(c, LETTER | MARK | C(ND) | C(NL) | C(PC)))
        return true;
    return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
           (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189); /* enclosed letters */
}

bool uni_is_punct(uint32_t c)
{
    if (c < 0x80)
        return c > ' ' && c < 0x7f && !uni_is_word(c) ? true : c == '_';
    if (c == 0x166d || c == 0x111c9) /* they were */
        return true;
    return uni_is_category(c, PUNCT) && !IN(c, not_punct);
}

bool uni_is_numeric(uint32_t c)
{
    return c < 0x80 ? c >= '0' && c <= '9' : uni_is_category(c, C(ND) | C(NL) | C(NO));
}

bool uni_is_mark(uint32_t c)
{
    return c >= 0x300 && uni_is_category(c, MARK) && !IN(c, not_mark);
}

bool uni_is_nonspacing(uint32_t c)
{
    return c >= 0x300 && (c == 0x1734 || uni_is_category(c, C(MN))) && !IN(c, not_nonspacing);
}

bool uni_is_control(uint32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r')
        return false;
    return c < 0x80 ? c < 0x20 || c == 0x7f
                    : uni_is_category(c, C(CC) | C(CF) | C(CO)) && !IN(c, not_control);
}

void uni_put_lower(uint32_t c, struct out *out)
{
    if (c == 0x130) /* the one whose lower case is two characters */
        out_put(out, "i\xcc\x87", 3);
    else
        out_put_char(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

/* ---- normalization forms ---- */

struct points {
    int32_t *p;
    size_t n, cap;
};

static int32_t *points_room(struct points *a, size_t n)
{
    if (a->cap - a->n < n) {
        a->cap = 2 * a->cap + n + 64;
        a->p = mem_grow(a->p, a->cap * sizeof *a->p);
    }
    return a->p + a->n;
}

static int ccc(int32_t c)
{
    return c < 0x300 ? 0 : utf8proc_get_property(c)->combining_class;
}

/* Puts a run of marks in the order of their classes, equal ones as they were: few classes, so it counts. */
static void sort_marks(int32_t *p, size_t n)
{
    size_t at[257] = {0};
    int32_t *copy = mem_grow(NULL, n * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        at[ccc(p[i]) + 1]++;
    for (int i = 0; i < 256; i++)
        at[i + 1] += at[i];
    memcpy(copy, p, n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[at[ccc(copy[i])]++] = copy[i];
    free(copy);
}

static void order_marks(struct points *a)
{
    for (size_t i = 0; i < a->n;) {
        size_t from = i;
        bool sorted = true;
        for (int before = 0, now; i < a->n && (now = ccc(a->p[i])); before = now, i++)
            sorted = sorted && now >= before;
        if (!sorted)
            sort_marks(a->p + from, i - from);
        i += i == from;
    }
}

static void put_ordered(struct points *a, int options, struct out *out)
{
    order_marks(a);
    if (options & UTF8PROC_COMPOSE && a->n) {
        utf8proc_ssize_t k = utf8proc_normalize_utf32(a->p, (utf8proc_ssize_t)a->n,
                                                      (utf8proc_option_t)(options & ~UTF8PROC_COMPAT));
        a->n = k < 0 ? a->n : (size_t)k;
    }
    for (size_t i = 0; i < a->n; i++)
        out_put_char(out, (uint32_t)a->p[i]);
    a->n = 0;
}

/* A stretch that begins and ends where nothing reaches across. A character that is too new for the library is such a place. */
static void normalize_stretch(struct points *a, const char *p, size_t n, int options, struct out *out)
{
    int boundclass = UTF8PROC_BOUNDCLASS_START;
    for (size_t i = 0, len; i < n; i += len) {
        int32_t c = (int32_t)uni_at(p + i, n - i, &len);
        if (c >= 0x7fd && IN((uint32_t)c, not_normalized)) {
            put_ordered(a, options, out);
            out_put(out, p + i, len);
            continue;
        }
        int32_t *to = points_room(a, 32);
        utf8proc_ssize_t k = utf8proc_decompose_char(c, to, 32, (utf8proc_option_t)options, &boundclass);
        if (k < 0 || k > 32) {
            *to = c;
            k = 1;
        }
        a->n += (size_t)k;
    }
    put_ordered(a, options, out);
}

void uni_normalize(struct str in, bool compose, bool compat, struct out *out)
{
    struct points a = {0};
    int options =
        UTF8PROC_STABLE | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) | (compat ? UTF8PROC_COMPAT : 0);
    size_t i = 0;
    while (i < in.n) { /* an ASCII character in front of another one, or of the end, is what it was */
        size_t from = i;
        while (i < in.n && (unsigned char)in.p[i] < 0x80)
            i++;
        size_t plain = i < in.n && i > from ? i - 1 : i;
        out_put(out, in.p + from, plain - from);
        from = plain;
        while (i < in.n && !((unsigned char)in.p[i] < 0x80 && (unsigned char)in.p[i - 1] < 0x80))
            i++;
        if (i > from)
            normalize_stretch(&a, in.p + from, i - from, options, out);
    }
    free(a.p);
}
#undef C
