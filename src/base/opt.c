/* Options as rows: parsing and the words of mistakes. */
#include "base/opt.h"
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

/* ---- one command line ---- */

struct parse {
    const struct opt_table *t;
    const struct opt_command *command;
    struct arena *memory;
    void *values;
    struct opt_origin *origin; /* [n_row] */
    struct opt_origin now;     /* of what is being set */
    struct buf words;          /* all mistakes so far */
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

/* The first value of a list from a place drops what earlier places said. */
static void set(struct parse *p, const struct opt_row *row, const char *prefix, const char *name,
                const char *value)
{
    struct lathe_err err;
    struct opt_origin *origin = &p->origin[row - p->t->row];
    if (row->type == OPT_LIST && origin->source != p->now.source)
        ((struct opt_list *)((char *)p->values + row->offset))->n = 0;
    if (opt_set(row, value, p->values, &err))
        mistake(p, prefix, name, err.text);
    *origin = p->now;
}

const struct opt_row *opt_find(const struct opt_table *t, const struct opt_command *command, const char *name,
                               size_t n)
{
    for (int i = 0; i < t->n_row; i++)
        if (t->row[i].group & command->groups && strlen(t->row[i].name) == n &&
            memcmp(t->row[i].name, name, n) == 0)
            return &t->row[i];
    return NULL;
}

static const struct opt_row *find_letter(const struct parse *p, char letter)
{
    for (int i = 0; i < p->t->n_row; i++)
        if (p->t->row[i].group & p->command->groups && p->t->row[i].letter == letter)
            return &p->t->row[i];
    return NULL;
}

/* --name, --name=value, --name value; returns how many arguments it took. */
static int parse_long(struct parse *p, int argc, const char *const *argv)
{
    const char *arg = argv[0] + 2;
    size_t n = strcspn(arg, "=");
    const struct opt_row *row = opt_find(p->t, p->command, arg, n);
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
        const struct opt_row *row = find_letter(p, *c);
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

static void parse_defaults(struct parse *p)
{
    p->now = (struct opt_origin){OPT_FROM_DEFAULT, 0};
    for (int i = 0; i < p->t->n_row; i++)
        if (p->t->row[i].def)
            set(p, &p->t->row[i], "default of --", p->t->row[i].name, p->t->row[i].def);
}

static void parse_file(struct parse *p, const struct opt_settings *file)
{
    for (int i = 0; file && i < file->n; i++) {
        p->now = (struct opt_origin){OPT_FROM_FILE, file->v[i].line};
        set(p, file->v[i].row, "", file->v[i].row->name, file->v[i].value);
    }
}

static void parse_env_list(struct parse *p, const struct opt_row *row, const char *value)
{
    while (*value) {
        size_t n = strcspn(value, ",");
        if (n)
            set(p, row, "environment variable ", row->env, arena_dup(p->memory, value, n));
        value += n + (value[n] == ',');
    }
}

static void parse_env(struct parse *p, const char *(*get)(const char *))
{
    p->now = (struct opt_origin){OPT_FROM_ENV, 0};
    for (int i = 0; get && i < p->t->n_row; i++) {
        const struct opt_row *r = &p->t->row[i];
        const char *value = r->env && (r->group & p->command->groups) ? get(r->env) : NULL;
        if (!value || !*value)
            continue;
        if (r->type == OPT_LIST && p->memory)
            parse_env_list(p, r, value);
        else
            set(p, r, "environment variable ", r->env, value);
    }
}

static void parse_line(struct parse *p, int argc, const char *const *argv, struct opt_operands *operands)
{
    bool only_operands = false;
    p->now = (struct opt_origin){OPT_FROM_LINE, 0};
    for (int i = 0; i < argc;) {
        const char *arg = argv[i];
        if (!only_operands && strcmp(arg, "--") == 0) {
            only_operands = true;
            i++;
        } else if (!only_operands && arg[0] == '-' && arg[1] == '-') {
            i += parse_long(p, argc - i, argv + i);
        } else if (!only_operands && arg[0] == '-' && arg[1]) {
            i += parse_short(p, argc - i, argv + i);
        } else {
            if (operands->n >= p->command->max_operand || operands->n == OPT_LIST_MAX)
                mistake_operand(p, arg);
            else
                operands->v[operands->n++] = arg;
            i++;
        }
    }
}

int opt_parse(const struct opt_input *in, void *values, struct opt_operands *operands,
              struct opt_origin *origin, struct lathe_err *err)
{
    struct parse p = {.t = in->table, .command = in->command, .memory = in->memory, .values = values};
    p.origin = mem_new((size_t)in->table->n_row * sizeof *p.origin);
    buf_init(&p.words, WORDS_MAX);
    operands->n = 0;
    parse_defaults(&p);
    parse_file(&p, in->file);
    parse_env(&p, in->get);
    parse_line(&p, in->argc, in->argv, operands);
    int rc = p.n_mistake ? err_set(err, LATHE_E_USAGE, "%s", p.words.p) : 0;
    if (origin)
        memcpy(origin, p.origin, (size_t)in->table->n_row * sizeof *origin);
    buf_free(&p.words);
    free(p.origin);
    return rc;
}

void opt_preset(const struct opt_input *in, const struct opt_preset *rows, int n, const char *name,
                void *values, struct opt_origin *origin)
{
    struct lathe_err err;
    for (int i = 0; i < n; i++) {
        const struct opt_row *row = opt_find(in->table, in->command, rows[i].option, strlen(rows[i].option));
        if (strcmp(rows[i].name, name) != 0 || !row ||
            origin[row - in->table->row].source != OPT_FROM_DEFAULT)
            continue;
        if (!opt_set(row, rows[i].value, values, &err))
            origin[row - in->table->row].source = OPT_FROM_PRESET;
    }
}
