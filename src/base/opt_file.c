/* A configuration file in YAML, read as events: what a row does not allow is refused at its line.
 *
 * libyaml is loaded on use, since most starts read no file. Depth, size and number are bounded by what is accepted: nothing
 * but one mapping of scalars and lists of scalars, each key once. Anchors may stand there, aliases are refused. */
#include "base/opt_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/library.h"
#include "base/read_file.h"

void opt_settings_free(struct opt_settings *s)
{
    free(s->v);
    arena_free(&s->memory);
    *s = (struct opt_settings){0};
}

#ifdef LATHE_HAVE_YAML
#include <yaml.h>

enum { DEPTH_MAX = 16 };

#define YAML_FUNCTIONS(F)      \
    F(parser_initialize)       \
    F(parser_set_input_string) \
    F(parser_parse)            \
    F(parser_delete)           \
    F(event_delete)

static struct {
#define F(name) __typeof__(yaml_##name) *name;
    YAML_FUNCTIONS(F)
#undef F
} yaml;

static const struct library_call calls[] = {
#define F(name) {"yaml_" #name, (void **)&yaml.name},
    YAML_FUNCTIONS(F)
#undef F
};
static const struct library library = {.file = "libyaml-0.so.2",
                                       .package = "libyaml-0-2",
                                       .wanted = "a configuration file needs",
                                       .calls = calls,
                                       .n_call = sizeof calls / sizeof *calls};

struct reader {
    const struct opt_table *t;
    const struct opt_command *command;
    const char *path;
    yaml_parser_t parser;
    struct opt_settings *out;
    int *line_of; /* [n_row] where a row was given; 0: not yet */
    struct buf words;
};

static void mistake(struct reader *r, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void mistake(struct reader *r, int line, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const char *name = strlen(r->path) > 100 ? r->path + strlen(r->path) - 100 : r->path;
    buf_printf(&r->words, "%s%s:%d: %s", r->words.n ? "; " : "", name, line, text);
}

/* The next event; false when the text is no YAML. */
static bool next(struct reader *r, yaml_event_t *e)
{
    if (yaml.parser_parse(&r->parser, e))
        return true;
    const char *why = r->parser.problem ? r->parser.problem : "it cannot be read";
    size_t line = r->parser.problem_mark.line ? r->parser.problem_mark.line : r->parser.mark.line;
    mistake(r, (int)line + 1, "is no YAML: %.100s", why);
    return false;
}

static int line_of(const yaml_event_t *e)
{
    return (int)e->start_mark.line + 1;
}

/* A plain nothing, which YAML reads as null. */
static bool is_null(const yaml_event_t *e)
{
    const char *s = (const char *)e->data.scalar.value;
    return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*s || strcmp(s, "~") == 0 || strcmp(s, "null") == 0);
}

static void add(struct reader *r, const struct opt_row *row, const char *value, int line)
{
    struct opt_settings *s = r->out;
    struct lathe_err err;
    if (opt_check(row, value, &err)) {
        mistake(r, line, "%s %s", row->name, err.text);
        return;
    }
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 32;
        s->v = mem_grow(s->v, (size_t)s->cap * sizeof *s->v);
    }
    s->v[s->n++] = (struct opt_setting){row, arena_dup(&s->memory, value, strlen(value)), line};
}

/* A scalar event's value into the row, or with commas into `joined`. */
static void take_scalar(struct reader *r, const struct opt_row *row, const yaml_event_t *e,
                        struct buf *joined)
{
    const char *value = (const char *)e->data.scalar.value;
    if (is_null(e))
        mistake(r, line_of(e), "%s has no value", row->name);
    else if (strlen(value) != e->data.scalar.length)
        mistake(r, line_of(e), "%s has a NUL in its value", row->name);
    else if (joined)
        buf_printf(joined, "%s%s", joined->n ? "," : "", value);
    else
        add(r, row, value, line_of(e));
}

/* Reads past what began with an event of this type, down to a depth at which libyaml's time, quadratic in it, is nothing. */
static bool skip(struct reader *r, yaml_event_type_t type)
{
    int depth = type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
    yaml_event_t e;
    while (depth) {
        if (!next(r, &e))
            return false;
        depth += e.type == YAML_SEQUENCE_START_EVENT || e.type == YAML_MAPPING_START_EVENT;
        depth -= e.type == YAML_SEQUENCE_END_EVENT || e.type == YAML_MAPPING_END_EVENT;
        if (depth > DEPTH_MAX)
            mistake(r, line_of(&e), "is nested deeper than %d", DEPTH_MAX);
        yaml.event_delete(&e);
        if (depth > DEPTH_MAX)
            return false;
    }
    return true;
}

static bool read_list(struct reader *r, const struct opt_row *row, int line)
{
    struct buf joined;
    bool ok, several = row->type == OPT_LIST || row->type == OPT_INTS, end = false;
    int n = 0;
    buf_init(&joined, 4096);
    if (!several)
        mistake(r, line, "%s takes one value and no list", row->name);
    do {
        yaml_event_t e;
        ok = next(r, &e);
        if (!ok)
            break;
        end = e.type == YAML_SEQUENCE_END_EVENT;
        if (e.type == YAML_SCALAR_EVENT && several && n++ < OPT_LIST_MAX)
            take_scalar(r, row, &e, row->type == OPT_INTS ? &joined : NULL);
        else if (!end && several && n <= OPT_LIST_MAX)
            mistake(r, line_of(&e), "%s takes a list of plain values", row->name);
        yaml_event_type_t type = e.type;
        yaml.event_delete(&e);
        ok = end || skip(r, type);
    } while (ok && !end);
    if (n > OPT_LIST_MAX)
        mistake(r, line, "%s has more than %d values", row->name, OPT_LIST_MAX);
    if (joined.full)
        mistake(r, line, "%s is too long", row->name);
    else if (ok && joined.n)
        add(r, row, joined.p, line);
    buf_free(&joined);
    return ok;
}

static bool read_value(struct reader *r, const struct opt_row *row)
{
    yaml_event_t e;
    if (!next(r, &e))
        return false;
    yaml_event_type_t type = e.type;
    int line = line_of(&e);
    if (row && type == YAML_SCALAR_EVENT)
        take_scalar(r, row, &e, NULL);
    else if (row && type == YAML_ALIAS_EVENT)
        mistake(r, line, "%s is an alias: write the value out", row->name);
    else if (row && type == YAML_MAPPING_START_EVENT)
        mistake(r, line, "%s takes a value, not keys of its own", row->name);
    yaml.event_delete(&e);
    if (row && type == YAML_SEQUENCE_START_EVENT)
        return read_list(r, row, line);
    return skip(r, type);
}

/* The row that a key names; NULL with the mistake noted. */
static const struct opt_row *row_of(struct reader *r, const yaml_event_t *e)
{
    int line = line_of(e);
    if (e->type != YAML_SCALAR_EVENT) {
        mistake(r, line, "a key must be the name of an option");
        return NULL;
    }
    const char *name = (const char *)e->data.scalar.value;
    const struct opt_row *row = opt_find(r->t, r->command, name, e->data.scalar.length);
    if (!row) {
        const char *near = opt_closest(r->t, r->command, name);
        if (near)
            mistake(r, line, "'%.40s' is no key: did you mean %s?", name, near);
        else
            mistake(r, line, "'%.40s' is no key: they are the long options of %s %s --help", name,
                    r->t->program, r->command->name);
        return NULL;
    }
    int *before = &r->line_of[row - r->t->row];
    if (*before) {
        mistake(r, line, "%s was already given in line %d", row->name, *before);
        return NULL;
    }
    *before = line;
    return row;
}

static bool read_mapping(struct reader *r)
{
    for (;;) {
        yaml_event_t e;
        if (r->words.n > 4096) /* enough is wrong */
            return false;
        if (!next(r, &e))
            return false;
        yaml_event_type_t type = e.type;
        const struct opt_row *row = type == YAML_MAPPING_END_EVENT ? NULL : row_of(r, &e);
        yaml.event_delete(&e);
        if (type == YAML_MAPPING_END_EVENT)
            return true;
        if (!skip(r, type) || !read_value(r, row))
            return false;
    }
}

/* One document with one mapping, or nothing. */
static void read_stream(struct reader *r)
{
    int n_document = 0;
    for (bool end = false, ok = true; ok && !end;) {
        yaml_event_t e;
        if (!next(r, &e))
            return;
        yaml_event_type_t type = e.type;
        int line = line_of(&e);
        bool null = type == YAML_SCALAR_EVENT && is_null(&e);
        yaml.event_delete(&e);
        end = type == YAML_STREAM_END_EVENT;
        if (type == YAML_DOCUMENT_START_EVENT && n_document++) {
            mistake(r, line, "is a second document: one file has one");
            return;
        }
        if (type == YAML_MAPPING_START_EVENT) {
            ok = read_mapping(r);
        } else if (type == YAML_SEQUENCE_START_EVENT || type == YAML_ALIAS_EVENT ||
                   (type == YAML_SCALAR_EVENT && !null)) {
            mistake(r, line, "must be lines of the form `key: value`");
            ok = skip(r, type);
        }
    }
}

int opt_file_parse(const struct opt_table *t, const struct opt_command *command, const char *path,
                   const char *text, size_t n, struct opt_settings *out, struct lathe_err *err)
{
    *out = (struct opt_settings){0};
    if (!yaml.event_delete)
        TRY(library_load(&library, err));
    struct reader r = {.t = t, .command = command, .path = path, .out = out};
    if (!yaml.parser_initialize(&r.parser))
        return err_set(err, LATHE_E_NOMEM, "%.200s: no memory to read it", path);
    r.line_of = mem_new((size_t)t->n_row * sizeof *r.line_of);
    buf_init(&r.words, 16 << 10);
    yaml.parser_set_input_string(&r.parser, (const unsigned char *)text, n);
    read_stream(&r);
    int rc = r.words.n ? err_set(err, LATHE_E_USAGE, "%s", r.words.p) : 0;
    yaml.parser_delete(&r.parser);
    buf_free(&r.words);
    free(r.line_of);
    if (rc)
        opt_settings_free(out);
    return rc;
}
#else
int opt_file_parse(const struct opt_table *t, const struct opt_command *command, const char *path,
                   const char *text, size_t n, struct opt_settings *out, struct lathe_err *err)
{
    *out = (struct opt_settings){0};
    return err_not_built(err, "reads no configuration files", "libyaml-dev");
}
#endif

int opt_file_read(const struct opt_table *t, const struct opt_command *command, const char *path,
                  struct opt_settings *out, struct lathe_err *err)
{
    struct buf text;
    *out = (struct opt_settings){0};
    buf_init(&text, OPT_FILE_MAX);
    int rc = read_file(path, &text, err);
    if (!rc)
        rc = opt_file_parse(t, command, path, text.p ? text.p : "", text.n, out, err);
    buf_free(&text);
    return rc;
}
