/* Options as rows: parsing and the words of mistakes. */
#include "base/opt.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 1024

const struct opt_command *opt_command_find(const struct opt_table *t, const char *name)
{
    for (int i = 0; i < t->n_command; i++)
        if (strcmp(t->command[i].name, name) == 0)
            return &t->command[i];
    return NULL;
}

/* Number of edits (insert, delete, replace) between two short words; 99 for long ones. */
static int edit_distance(const char *a, size_t n_a, const char *b)
{
    size_t n_b = strlen(b);
    int row[33];
    if (n_a > 32 || n_b > 32)
        return 99;
    for (size_t j = 0; j <= n_b; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n_a; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n_b; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n_b];
}

const char *opt_closest(const struct opt_table *t, const struct opt_command *command, const char *wrong)
{
    const char *best = NULL;
    size_t n = strcspn(wrong, "=");
    int best_distance = n < 4 ? 2 : 3; /* strictly below */
    int n_name = command ? t->n_row : t->n_command;
    for (int i = 0; i < n_name; i++) {
        if (command && !(t->row[i].group & command->groups))
            continue;
        const char *name = command ? t->row[i].name : t->command[i].name;
        int d = edit_distance(wrong, n, name);
        bool prefix = n >= 3 && strncmp(name, wrong, n) == 0;
        if (prefix && d > 1)
            d = 1;
        if (d < best_distance) {
            best_distance = d;
            best = name;
        }
    }
    return best;
}

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
        for (const char *p = row->meta; *p;) {
            size_t n = strcspn(p, "|");
            buf_printf(out, "%s%.*s", p == row->meta ? "" : p[n] ? ", " : " or ", (int)n, p);
            p += n + (p[n] == '|');
        }
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

static bool read_choice(const char *s, const char *choices, int *out)
{
    size_t n_s = strlen(s);
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
        ok = read_choice(value, row->meta, field);
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

/* ---- one command line ---- */

struct parse {
    const struct opt_table *t;
    const struct opt_command *command;
    void *values;
    struct buf words; /* all mistakes so far */
    int n_mistake;
};

static void mistake(struct parse *p, const char *prefix, const char *name, const char *words)
{
    if (p->n_mistake++ == 0)
        buf_clear(&p->words);
    else
        buf_puts(&p->words, "; ");
    buf_printf(&p->words, "%s%.60s %s", prefix, name, words);
}

static void mistake_unknown(struct parse *p, const char *arg)
{
    char words[160];
    const char *bare = arg + strspn(arg, "-");
    const char *near = opt_closest(p->t, p->command, bare);
    if (near)
        snprintf(words, sizeof words, "is no option of %s: did you mean --%s?", p->command->name, near);
    else
        snprintf(words, sizeof words, "is no option of %s: see lathe %s --help", p->command->name,
                 p->command->name);
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(arg, "="), arg);
    mistake(p, "", name, words);
}

static void mistake_operand(struct parse *p, const char *arg)
{
    char name[64];
    snprintf(name, sizeof name, "'%.40s'", arg);
    mistake(p, "", name,
            p->command->max_operand ? "is one argument too many"
                                    : "is no option: every value follows its option");
}

static void set(struct parse *p, const struct opt_row *row, const char *prefix, const char *name,
                const char *value)
{
    struct lathe_err err;
    if (opt_set(row, value, p->values, &err))
        mistake(p, prefix, name, err.text);
}

static const struct opt_row *find_row(const struct parse *p, const char *name, size_t n, char letter)
{
    for (int i = 0; i < p->t->n_row; i++) {
        const struct opt_row *r = &p->t->row[i];
        if (!(r->group & p->command->groups))
            continue;
        if (letter ? r->letter == letter : strlen(r->name) == n && memcmp(r->name, name, n) == 0)
            return r;
    }
    return NULL;
}

/* --name, --name=value, --name value; returns how many arguments it took. */
static int parse_long(struct parse *p, int argc, const char *const *argv)
{
    const char *arg = argv[0] + 2;
    size_t n = strcspn(arg, "=");
    const struct opt_row *row = find_row(p, arg, n, 0);
    if (!row) {
        mistake_unknown(p, argv[0]);
        return arg[n] || argc < 2 || argv[1][0] == '-' ? 1 : 2; /* what follows was meant as its value */
    }
    const char *value = arg[n] ? arg + n + 1 : NULL;
    int used = 1;
    if (!value && row->type == OPT_FLAG) {
        value = "on";
    } else if (!value) {
        if (argc < 2) {
            mistake(p, "--", row->name, "needs a value");
            return 1;
        }
        value = argv[1];
        used = 2;
    }
    set(p, row, "--", row->name, value);
    return used;
}

/* -c value, -cvalue, and several flags in one word. */
static int parse_short(struct parse *p, int argc, const char *const *argv)
{
    for (const char *c = argv[0] + 1; *c; c++) {
        const struct opt_row *row = find_row(p, NULL, 0, *c);
        if (!row) {
            char name[3] = {'-', *c, 0};
            mistake_unknown(p, name);
            return 1;
        }
        if (row->type == OPT_FLAG) {
            set(p, row, "--", row->name, "on");
            continue;
        }
        if (c[1]) {
            set(p, row, "--", row->name, c + 1);
            return 1;
        }
        if (argc < 2) {
            mistake(p, "--", row->name, "needs a value");
            return 1;
        }
        set(p, row, "--", row->name, argv[1]);
        return 2;
    }
    return 1;
}

static void parse_defaults(struct parse *p, const char *(*get)(const char *))
{
    for (int i = 0; i < p->t->n_row; i++) {
        const struct opt_row *r = &p->t->row[i];
        const char *value = get && r->env && (r->group & p->command->groups) ? get(r->env) : NULL;
        if (r->def)
            set(p, r, "default of --", r->name, r->def);
        if (value && *value)
            set(p, r, "environment variable ", r->env, value);
    }
}

/* A list or numbers given on the command line replace the default instead of adding to it; only OPT_LIST
 * adds, and has no default. */
int opt_parse(const struct opt_table *t, const struct opt_command *command, int argc, const char *const *argv,
              const char *(*get)(const char *name), void *values, struct opt_operands *operands,
              struct lathe_err *err)
{
    struct parse p = {.t = t, .command = command, .values = values};
    buf_init(&p.words, WORDS_MAX);
    operands->n = 0;
    parse_defaults(&p, get);
    bool only_operands = false;
    for (int i = 0; i < argc;) {
        const char *arg = argv[i];
        if (!only_operands && strcmp(arg, "--") == 0) {
            only_operands = true;
            i++;
        } else if (!only_operands && arg[0] == '-' && arg[1] == '-') {
            i += parse_long(&p, argc - i, argv + i);
        } else if (!only_operands && arg[0] == '-' && arg[1]) {
            i += parse_short(&p, argc - i, argv + i);
        } else {
            if (operands->n >= command->max_operand || operands->n == OPT_LIST_MAX)
                mistake_operand(&p, arg);
            else
                operands->v[operands->n++] = arg;
            i++;
        }
    }
    int rc = p.n_mistake ? err_set(err, LATHE_E_USAGE, "%s", p.words.p) : 0;
    buf_free(&p.words);
    return rc;
}
