/* Options as rows: one table drives parsing, range texts, environment, --help, man page and shell completion.
 *
 * A row belongs to a group; a command takes the rows of its groups. Values are written into the caller's
 * struct at the row's offset. Strings in values point into argv, the environment and what a file said. */
#ifndef LATHE_BASE_OPT_H
#define LATHE_BASE_OPT_H
#include "base/mem.h"

enum opt_type {
    OPT_FLAG,   /* bool; takes no value, but =on or =off */
    OPT_INT,    /* int, min..max */
    OPT_U64,    /* uint64_t, decimal or 0x */
    OPT_REAL,   /* float, min..max */
    OPT_TEXT,   /* const char * */
    OPT_LIST,   /* struct opt_list: may be given several times */
    OPT_INTS,   /* struct opt_ints: numbers with commas between, each min..max */
    OPT_SIZE,   /* uint64_t, bytes: a whole number with K, M, G or T (of 1024) behind it or without */
    OPT_CHOICE, /* int: index of the value in the row's meta, which reads "on|off" */
    OPT_PAIR,   /* struct opt_pair: one of such values, or two with a colon between */
};

#define OPT_LIST_MAX 64
struct opt_list {
    const char *v[OPT_LIST_MAX];
    int n;
};
#define OPT_INTS_MAX 32
struct opt_ints {
    int v[OPT_INTS_MAX];
    int n;
};

/* One value given stands in both places. */
struct opt_pair {
    int first, second;
};

struct opt_row {
    unsigned group; /* one bit */
    const char *name;
    char letter; /* 0: none */
    enum opt_type type;
    size_t offset;
    const char *def; /* as the user would write it; NULL: none */
    double min, max;
    const char *meta; /* what the value is called in help; of OPT_CHOICE and OPT_PAIR the values */
    const char *env;  /* NULL: none; the command line wins */
    const char *help;
};

/* A table of options and of the commands that take them. */
struct opt_command {
    const char *name;
    unsigned groups;
    const char *operands; /* "" if it takes none */
    int max_operand;
    const char *summary; /* one phrase */
    const char *text;    /* sentences for --help and the man page */
};
struct opt_group {
    unsigned bit;
    const char *title;
};
struct opt_table {
    const char *program, *about; /* name and one phrase */
    const struct opt_row *row;
    int n_row;
    const struct opt_group *group; /* in the order of help */
    int n_group;
    const struct opt_command *command;
    int n_command;
};

struct opt_operands {
    const char *v[OPT_LIST_MAX];
    int n;
};

/* Where a value was given; the later in this order wins. */
enum opt_source { OPT_FROM_DEFAULT, OPT_FROM_PRESET, OPT_FROM_FILE, OPT_FROM_ENV, OPT_FROM_LINE };
struct opt_origin {
    enum opt_source source;
    int line; /* of the file */
};

/* What a configuration file says (opt_file.h): one entry a value, several for a list. */
struct opt_setting {
    const struct opt_row *row;
    const char *value;
    int line;
};
struct opt_settings {
    struct opt_setting *v;
    int n, cap;
    struct arena memory; /* of the values */
};

/* NULL if there is none of that name. */
const struct opt_command *opt_command_find(const struct opt_table *t, const char *name);
/* The name of the option (command == NULL: of the command) closest to `wrong`, or NULL when none is close. */
const char *opt_closest(const struct opt_table *t, const struct opt_command *command, const char *wrong);

/* Reads the words of a flag's value: on, 1, true, yes; off, 0, false, no. False for any other. */
bool opt_flag(const char *s, bool *out);
/* Reads a size such as 512M or 4096. False for anything else, and past 2^64. */
bool opt_size(const char *s, uint64_t *out);
/* All places that a command's values come from. */
struct opt_input {
    const struct opt_table *table;
    const struct opt_command *command;
    int argc; /* argv[0] is the first argument after the command */
    const char *const *argv;
    const char *(*get)(const char *name); /* reads the environment: getenv outside of tests */
    const struct opt_settings *file;      /* NULL: none */
    struct arena *memory; /* of the parts of lists in the environment; NULL: they are not split */
};
/* Sets defaults, then the file, the environment, argv. A list replaces that of an earlier place; in the environment its parts
 * have commas between. USAGE with every mistake in one line, each naming the value and what is allowed. `origin` has a
 * place for each row of the table, or is NULL. */
int opt_parse(const struct opt_input *in, void *values, struct opt_operands *operands,
              struct opt_origin *origin, struct lathe_err *err);
/* Defaults of a name that is chosen as one: a row for each option. */
struct opt_preset {
    const char *name, *option, *value;
};
/* After opt_parse: of what was given nowhere, the preset's values, where the command has the option. */
void opt_preset(const struct opt_input *in, const struct opt_preset *rows, int n, const char *name,
                void *values, struct opt_origin *origin);
/* One value into one row's field; the words of a failure end in what is allowed. */
int opt_set(const struct opt_row *row, const char *value, void *values, struct lathe_err *err);
/* Whether opt_set would take it. */
int opt_check(const struct opt_row *row, const char *value, struct lathe_err *err);
/* The row's value as YAML and JSON both read it; a text that is not there is null. */
void opt_value_text(const struct opt_row *row, const void *values, struct buf *out);
/* The row that a command has under this name of n bytes; NULL: none. */
const struct opt_row *opt_find(const struct opt_table *t, const struct opt_command *command, const char *name,
                               size_t n);
/* "a number from 0 to 1024", "on or off" ... */
void opt_range_text(const struct opt_row *row, struct buf *out);

/* Text generated from the rows. */
void opt_help(const struct opt_table *t, const struct opt_command *command,
              struct buf *out); /* command NULL: the program */
void opt_man(const struct opt_table *t, const char *version, struct buf *out);
/* shell: "bash", "zsh" or "fish"; USAGE for another. */
int opt_completion(const struct opt_table *t, const char *shell, struct buf *out, struct lathe_err *err);
#endif
