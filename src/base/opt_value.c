/* Options as rows: one value from text, and back to text. */
#include "base/opt.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 1024

void opt_range_text(const struct opt_row *row, struct buf *out)
{
    switch (row->type) {
    case OPT_FLAG:
        buf_puts(out, "on or off");
        break;
    case OPT_INT:
    case OPT_REAL:
        buf_printf(out, "a number from %.15g to %.15g", row->min, row->max);
        break;
    case OPT_INTS:
        buf_printf(out, "at most %d numbers from %.15g to %.15g with commas between", OPT_INTS_MAX, row->min,
                   row->max);
        break;
    case OPT_U64:
        buf_puts(out, "a whole number below 2^64");
        break;
    case OPT_SIZE:
        buf_puts(out, "a size in bytes such as 800M or 2G");
        break;
    case OPT_CHOICE:
    case OPT_PAIR:
        for (const char *p = row->meta; *p;) {
            size_t n = strcspn(p, "|");
            buf_printf(out, "%s%.*s", p == row->meta ? "" : p[n] ? ", " : " or ", (int)n, p);
            p += n + (p[n] == '|');
        }
        if (row->type == OPT_PAIR)
            buf_puts(out, ", or two of them with a colon between");
        break;
    case OPT_TEXT:
    case OPT_LIST:
        buf_puts(out, "a text");
        break;
    }
}

/* A whole number in [min, max] of the first n bytes of s. */
static bool read_int(const char *s, size_t n, const struct opt_row *row, int *out)
{
    char digits[24], *end;
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, s, n);
    digits[n] = 0;
    if (digits[0] != '-' && (digits[0] < '0' || digits[0] > '9'))
        return false;
    errno = 0;
    long long x = strtoll(digits, &end, 10);
    if (errno || *end || (double)x < row->min || (double)x > row->max)
        return false;
    *out = (int)x;
    return true;
}

static bool read_ints(const char *s, const struct opt_row *row, struct opt_ints *out)
{
    struct opt_ints list = {.n = 0};
    for (;;) {
        size_t n = strcspn(s, ",");
        if (list.n == OPT_INTS_MAX || !read_int(s, n, row, &list.v[list.n]))
            return false;
        list.n++;
        if (!s[n]) {
            *out = list;
            return true;
        }
        s += n + 1;
    }
}

static bool read_u64(const char *s, uint64_t *out)
{
    char *end;
    bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    if (s[0] < '0' || s[0] > '9')
        return false;
    errno = 0;
    unsigned long long x = strtoull(s, &end, hex ? 16 : 10);
    *out = x;
    return !errno && !*end;
}

static bool read_real(const char *s, const struct opt_row *row, float *out)
{
    char *end;
    if (!strchr("-.0123456789", s[0]) || !s[0])
        return false;
    double x = strtod(s, &end);
    if (*end || !isfinite(x) || x < row->min || x > row->max)
        return false;
    *out = (float)x;
    return true;
}

bool opt_flag(const char *s, bool *out)
{
    static const char *const words[] = {"off", "on", "0", "1", "false", "true", "no", "yes"};
    for (int i = 0; i < 8; i++)
        if (strcmp(s, words[i]) == 0) {
            *out = i & 1;
            return true;
        }
    return false;
}

static bool read_choice(const char *s, size_t n_s, const char *choices, int *out)
{
    int i = 0;
    for (const char *p = choices; *p; i++) {
        size_t n = strcspn(p, "|");
        if (n == n_s && memcmp(p, s, n) == 0) {
            *out = i;
            return true;
        }
        p += n + (p[n] == '|');
    }
    return false;
}

static bool read_pair(const char *s, const char *choices, struct opt_pair *out)
{
    size_t n = strcspn(s, ":");
    struct opt_pair pair;
    if (!read_choice(s, n, choices, &pair.first))
        return false;
    pair.second = pair.first;
    if (s[n] && !read_choice(s + n + 1, strlen(s + n + 1), choices, &pair.second))
        return false;
    *out = pair;
    return true;
}

static bool read_list(const char *s, struct opt_list *out)
{
    if (out->n == OPT_LIST_MAX)
        return false;
    out->v[out->n++] = s;
    return true;
}

int opt_set(const struct opt_row *row, const char *value, void *values, struct lathe_err *err)
{
    void *field = (char *)values + row->offset;
    bool ok = true;
    switch (row->type) {
    case OPT_FLAG:
        ok = opt_flag(value, field);
        break;
    case OPT_INT:
        ok = read_int(value, strlen(value), row, field);
        break;
    case OPT_U64:
        ok = read_u64(value, field);
        break;
    case OPT_SIZE:
        ok = opt_size(value, field);
        break;
    case OPT_REAL:
        ok = read_real(value, row, field);
        break;
    case OPT_TEXT:
        *(const char **)field = value;
        break;
    case OPT_LIST:
        ok = read_list(value, field);
        break;
    case OPT_INTS:
        ok = read_ints(value, row, field);
        break;
    case OPT_CHOICE:
        ok = read_choice(value, strlen(value), row->meta, field);
        break;
    case OPT_PAIR:
        ok = read_pair(value, row->meta, field);
        break;
    }
    if (ok)
        return 0;
    struct buf range;
    buf_init(&range, WORDS_MAX);
    opt_range_text(row, &range);
    if (row->type == OPT_LIST)
        err_set(err, LATHE_E_USAGE, "is given more than %d times", OPT_LIST_MAX);
    else
        err_set(err, LATHE_E_USAGE, "'%.60s' is not %s", value, range.p);
    buf_free(&range);
    return LATHE_E_USAGE;
}

int opt_check(const struct opt_row *row, const char *value, struct lathe_err *err)
{
    union {
        uint64_t number;
        const char *text;
        struct opt_list list;
        struct opt_ints ints;
    } field = {.list = {.n = 0}};
    struct opt_row alone = *row;
    alone.offset = 0;
    field.ints.n = 0;
    return opt_set(&alone, value, &field, err);
}

/* ---- back to text ---- */

static void put_choice(const char *choices, int i, struct buf *out)
{
    for (; i > 0 && *choices; i--) {
        choices += strcspn(choices, "|");
        choices += *choices == '|';
    }
    buf_put(out, choices, strcspn(choices, "|"));
}

/* A text as YAML and JSON both read it. */
static void put_quoted(const char *s, struct buf *out)
{
    buf_putc(out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\u%04x", c);
        else
            buf_putc(out, *s);
    }
    buf_putc(out, '"');
}

static void put_ints(const struct opt_ints *list, struct buf *out)
{
    buf_putc(out, '[');
    for (int i = 0; i < list->n; i++)
        buf_printf(out, "%s%d", i ? ", " : "", list->v[i]);
    buf_putc(out, ']');
}

static void put_list(const struct opt_list *list, struct buf *out)
{
    buf_putc(out, '[');
    for (int i = 0; i < list->n; i++) {
        buf_puts(out, i ? ", " : "");
        put_quoted(list->v[i], out);
    }
    buf_putc(out, ']');
}

static void put_pair(const char *choices, const struct opt_pair *pair, struct buf *out)
{
    buf_putc(out, '"');
    put_choice(choices, pair->first, out);
    if (pair->second != pair->first) {
        buf_putc(out, ':');
        put_choice(choices, pair->second, out);
    }
    buf_putc(out, '"');
}

void opt_value_text(const struct opt_row *row, const void *values, struct buf *out)
{
    const void *field = (const char *)values + row->offset;
    switch (row->type) {
    case OPT_FLAG:
        buf_puts(out, *(const bool *)field ? "true" : "false");
        break;
    case OPT_INT:
        buf_printf(out, "%d", *(const int *)field);
        break;
    case OPT_U64:
    case OPT_SIZE:
        buf_printf(out, "%llu", (unsigned long long)*(const uint64_t *)field);
        break;
    case OPT_REAL:
        buf_printf(out, "%.7g", (double)*(const float *)field);
        break;
    case OPT_TEXT:
        if (*(const char *const *)field)
            put_quoted(*(const char *const *)field, out);
        else
            buf_puts(out, "null");
        break;
    case OPT_LIST:
        put_list(field, out);
        break;
    case OPT_INTS:
        put_ints(field, out);
        break;
    case OPT_CHOICE:
        buf_putc(out, '"');
        put_choice(row->meta, *(const int *)field, out);
        buf_putc(out, '"');
        break;
    case OPT_PAIR:
        put_pair(row->meta, field, out);
        break;
    }
}
