/* Options as rows: --help, the man page and shell completion, all written from the table. */
#include "base/opt.h"
#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 30
#define HELP_WIDTH 100

/* Words of `text` from column `at`, broken before `width`, next lines indented to `indent`. */
static void put_wrapped(struct buf *out, const char *text, int at, int indent, int width)
{
    bool first = true;
    while (*text) {
        int n = (int)strcspn(text, " \n");
        if (!first && (at + 1 + n > width || text[-1] == '\n')) {
            buf_printf(out, "\n%*s", indent, "");
            at = indent;
        } else if (!first) {
            buf_putc(out, ' ');
            at++;
        }
        buf_put(out, text, (size_t)n);
        at += n;
        first = false;
        text += n;
        if (*text)
            text++;
    }
    buf_putc(out, '\n');
}

static const char *meta_of(const struct opt_row *r)
{
    return r->type == OPT_FLAG ? "" : r->meta ? r->meta : "N";
}

/* Help of a row with range, default and environment behind it. */
static void row_text(const struct opt_row *r, struct buf *out)
{
    buf_puts(out, r->help);
    const char *open = " (";
    if (r->type == OPT_INT || r->type == OPT_REAL || r->type == OPT_INTS) {
        buf_printf(out, "%s%.15g to %.15g", open, r->min, r->max);
        open = "; ";
    }
    if (r->def && r->type != OPT_FLAG) {
        buf_printf(out, "%sdefault %s", open, r->def);
        open = "; ";
    }
    if (r->env) {
        buf_printf(out, "%s%s", open, r->env);
        open = "; ";
    }
    if (open[0] == ';')
        buf_putc(out, ')');
}

static void help_row(const struct opt_row *r, struct buf *out)
{
    char left[96];
    struct buf text;
    buf_init(&text, 4096);
    char letter[5] = "    ";
    if (r->letter)
        snprintf(letter, sizeof letter, "-%c, ", r->letter);
    snprintf(left, sizeof left, "  %s--%s %s", letter, r->name, meta_of(r));
    buf_printf(out, "%-*s", HELP_COLUMN, left);
    int at = (int)strlen(left);
    if (at >= HELP_COLUMN) {
        buf_printf(out, "\n%*s", HELP_COLUMN, "");
        at = HELP_COLUMN;
    }
    row_text(r, &text);
    put_wrapped(out, text.p, at < HELP_COLUMN ? HELP_COLUMN : at, HELP_COLUMN, HELP_WIDTH);
    buf_free(&text);
}

static void help_command(const struct opt_table *t, const struct opt_command *c, struct buf *out)
{
    buf_printf(out, "%s %s: %s\n\nusage: %s %s [options]%s%s\n\n", t->program, c->name, c->summary,
               t->program, c->name, c->operands[0] ? " " : "", c->operands);
    if (c->text[0]) {
        put_wrapped(out, c->text, 0, 0, HELP_WIDTH);
        buf_putc(out, '\n');
    }
    for (int g = 0; g < t->n_group; g++) {
        if (!(t->group[g].bit & c->groups))
            continue;
        buf_printf(out, "%s\n", t->group[g].title);
        for (int i = 0; i < t->n_row; i++)
            if (t->row[i].group == t->group[g].bit)
                help_row(&t->row[i], out);
        buf_putc(out, '\n');
    }
}

void opt_help(const struct opt_table *t, const struct opt_command *command, struct buf *out)
{
    if (command) {
        help_command(t, command, out);
        return;
    }
    buf_printf(out, "%s: %s\n\nusage: %s COMMAND [options]\n\n", t->program, t->about, t->program);
    for (int i = 0; i < t->n_command; i++)
        buf_printf(out, "  %-12s %s\n", t->command[i].name, t->command[i].summary);
    buf_printf(out, "\n`%s COMMAND --help` lists the options of one.\n", t->program);
}

/* ---- man page ---- */

/* Text for roff: backslashes and leading dots escaped, hyphens as minus. */
static void put_roff(struct buf *out, const char *text)
{
    bool start = true;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\''))
            buf_puts(out, "\\&");
        if (*text == '\\')
            buf_puts(out, "\\e");
        else if (*text == '-')
            buf_puts(out, "\\-");
        else
            buf_putc(out, *text);
        start = *text == '\n';
    }
}

static void man_row(const struct opt_row *r, struct buf *out)
{
    struct buf text;
    buf_init(&text, 4096);
    buf_puts(out, ".TP\n.B ");
    if (r->letter)
        buf_printf(out, "\\-%c, ", r->letter);
    buf_puts(out, "\\-\\-");
    put_roff(out, r->name);
    if (meta_of(r)[0])
        buf_printf(out, " \\fI%s\\fR", meta_of(r));
    buf_putc(out, '\n');
    row_text(r, &text);
    put_roff(out, text.p);
    buf_putc(out, '\n');
    buf_free(&text);
}

void opt_man(const struct opt_table *t, const char *version, struct buf *out)
{
    buf_printf(out, ".TH LATHE 1 \"\" \"%s %s\"\n.SH NAME\n%s \\- ", t->program, version, t->program);
    put_roff(out, t->about);
    buf_printf(out, "\n.SH SYNOPSIS\n.B %s\n.I COMMAND\n[options]\n.SH COMMANDS\n", t->program);
    for (int i = 0; i < t->n_command; i++) {
        const struct opt_command *c = &t->command[i];
        buf_printf(out, ".SS %s %s\n", c->name, c->operands);
        put_roff(out, c->summary);
        buf_puts(out, ".\n");
        put_roff(out, c->text);
        buf_puts(out, "\n.br\nOptions: ");
        const char *comma = "";
        for (int g = 0; g < t->n_group; g++)
            if (t->group[g].bit & c->groups) {
                buf_printf(out, "%s%s", comma, t->group[g].title);
                comma = ", ";
            }
        buf_puts(out, ".\n");
    }
    buf_puts(out, ".SH OPTIONS\n");
    for (int g = 0; g < t->n_group; g++) {
        buf_printf(out, ".SS %s\n", t->group[g].title);
        for (int i = 0; i < t->n_row; i++)
            if (t->row[i].group == t->group[g].bit)
                man_row(&t->row[i], out);
    }
    buf_puts(out, ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong use, 3 bad model or input file.\n");
}

/* ---- completion ---- */

static void complete_bash(const struct opt_table *t, struct buf *out)
{
    buf_printf(out,
               "_%s() {\n    local cur=${COMP_WORDS[COMP_CWORD]} words=\n    if [ \"$COMP_CWORD\" = 1 ]; "
               "then\n        words=\"",
               t->program);
    for (int i = 0; i < t->n_command; i++)
        buf_printf(out, "%s%s", i ? " " : "", t->command[i].name);
    buf_puts(out, "\"\n    else\n        case ${COMP_WORDS[1]} in\n");
    for (int i = 0; i < t->n_command; i++) {
        buf_printf(out, "        %s) words=\"", t->command[i].name);
        for (int k = 0; k < t->n_row; k++)
            if (t->row[k].group & t->command[i].groups)
                buf_printf(out, "--%s ", t->row[k].name);
        buf_puts(out, "\" ;;\n");
    }
    buf_printf(out,
               "        esac\n    fi\n    case $cur in\n    -*) mapfile -t COMPREPLY < <(compgen -W "
               "\"$words\" -- \"$cur\") ;;\n"
               "    *) if [ \"$COMP_CWORD\" = 1 ]; then mapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
               "\"$cur\")\n"
               "       else mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); fi ;;\n    esac\n}\n"
               "complete -o filenames -F _%s %s\n",
               t->program, t->program);
}

/* Text inside single quotes; zsh also wants brackets and colons escaped. */
static void put_quoted(struct buf *out, const char *text, const char *escape)
{
    for (; *text; text++) {
        if (*text == '\'')
            buf_puts(out, "'\\''");
        else if (strchr(escape, *text))
            buf_printf(out, "\\%c", *text);
        else
            buf_putc(out, *text);
    }
}

static void complete_zsh(const struct opt_table *t, struct buf *out)
{
    buf_printf(out, "#compdef %s\n_%s() {\n    if (( CURRENT == 2 )); then\n        local -a commands=(\n",
               t->program, t->program);
    for (int i = 0; i < t->n_command; i++) {
        buf_printf(out, "            '%s:", t->command[i].name);
        put_quoted(out, t->command[i].summary, ":");
        buf_puts(out, "'\n");
    }
    buf_puts(out, "        )\n        _describe command commands\n        return\n    fi\n    local "
                  "command=$words[2]\n    shift words; (( CURRENT-- ))\n    case $command in\n");
    for (int i = 0; i < t->n_command; i++) {
        buf_printf(out, "    %s) _arguments", t->command[i].name);
        for (int k = 0; k < t->n_row; k++) {
            const struct opt_row *r = &t->row[k];
            if (!(r->group & t->command[i].groups))
                continue;
            buf_printf(out, " \\\n        '--%s%s[", r->name, r->type == OPT_FLAG ? "" : "=");
            put_quoted(out, r->help, "[]:\\");
            buf_puts(out, "]");
            if (r->type != OPT_FLAG)
                buf_printf(out, ":%s:_files", r->name);
            buf_putc(out, '\'');
        }
        buf_puts(out, " ;;\n");
    }
    buf_printf(out, "    esac\n}\n_%s \"$@\"\n", t->program);
}

static void complete_fish(const struct opt_table *t, struct buf *out)
{
    for (int i = 0; i < t->n_command; i++) {
        buf_printf(out, "complete -c %s -n __fish_use_subcommand -f -a %s -d '", t->program,
                   t->command[i].name);
        put_quoted(out, t->command[i].summary, "\\");
        buf_puts(out, "'\n");
        for (int k = 0; k < t->n_row; k++) {
            const struct opt_row *r = &t->row[k];
            if (!(r->group & t->command[i].groups))
                continue;
            buf_printf(out, "complete -c %s -n '__fish_seen_subcommand_from %s' -l %s", t->program,
                       t->command[i].name, r->name);
            if (r->letter)
                buf_printf(out, " -s %c", r->letter);
            buf_puts(out, r->type == OPT_FLAG ? " -d '" : " -r -d '");
            put_quoted(out, r->help, "\\");
            buf_puts(out, "'\n");
        }
    }
}

int opt_completion(const struct opt_table *t, const char *shell, struct buf *out, struct lathe_err *err)
{
    static const struct {
        const char *shell;
        void (*write)(const struct opt_table *, struct buf *);
    } rows[] = {{"bash", complete_bash}, {"zsh", complete_zsh}, {"fish", complete_fish}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].shell, shell) == 0) {
            rows[i].write(t, out);
            return 0;
        }
    return err_set(err, LATHE_E_USAGE,
                   "'%.40s' is no shell that completion is written for: bash, zsh or fish", shell);
}
