/* The program's frame: tables of options and commands, and the way from argv to a command. */
#include "cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/cpu.h"
#include "base/opt_file.h"
#include "cli/say.h"
#include "store/store.h"

enum group_number {
#define GROUP(name, title) NUMBER_##name,
#include "cli/groups.inc"
#undef GROUP
    N_GROUP
};
_Static_assert(N_GROUP < 32, "a group is a bit of an int");

enum group_bit {
#define GROUP(name, title) GROUP_##name = 1 << NUMBER_##name,
#include "cli/groups.inc"
#undef GROUP
};

static const struct opt_group groups[] = {
#define GROUP(name, title) {GROUP_##name, title},
#include "cli/groups.inc"
#undef GROUP
};

static const struct opt_row rows[] = {
#define OPT(group, name, letter, type, field, def, min, max, meta, env, help)                \
    {GROUP_##group, name, letter, OPT_##type, offsetof(struct cli_options, field), def, min, \
     max,           meta, env,    help},
#include "cli/options.inc"
#undef OPT
};

#define G(group) (unsigned)GROUP_##group
static const struct opt_command commands[] = {
#define COMMAND(name, groups, operands, max_operand, summary, text) \
    {#name, (groups) | G(HELP), operands, max_operand, summary, text},
#include "cli/commands.inc"
#undef COMMAND
};

static int (*const functions[])(struct cli *, struct lathe_err *) = {
#define COMMAND(name, groups, operands, max_operand, summary, text) cmd_##name,
#include "cli/commands.inc"
#undef COMMAND
};

#define N(table) (int)(sizeof table / sizeof *table)
const struct opt_table cli_table = {"lathe",  "runs language models on CPUs, fast and exact to the bit",
                                    rows,     N(rows),
                                    groups,   N(groups),
                                    commands, N(commands)};

static const struct opt_preset profiles[] = {
#define PROFILE(name, option, value) {#name, option, value},
#include "cli/profiles.inc"
#undef PROFILE
};
/* In the order of the row's choices. */
static const char *const profile_names[] = {"none", "chat", "batch", "agent", "edge"};

static const char *env_get(const char *name)
{
    return getenv(name);
}

static const struct opt_command *command_of(const char *word, struct lathe_err *err)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        word = "help";
    if (strcmp(word, "--version") == 0)
        word = "version";
    const struct opt_command *command = opt_command_find(&cli_table, word);
    if (command)
        return command;
    const char *near = opt_closest(&cli_table, NULL, word);
    if (near)
        err_set(err, LATHE_E_USAGE, "'%.60s' is no command: did you mean %s?", word, near);
    else
        err_set(err, LATHE_E_USAGE, "'%.60s' is no command: see lathe help", word);
    return NULL;
}

static const char *widest_isa(void)
{
    int isa = CPU_N_ISA - 1;
    while (isa > 0 && !cpu_supports(isa))
        isa--;
    return cpu_isa_name(isa);
}

static int print_help(const struct opt_command *command)
{
    struct buf out;
    buf_init(&out, 1u << 20);
    opt_help(&cli_table, command, &out);
    fwrite(out.p, 1, out.n, stdout);
    buf_free(&out);
    return 0;
}

/* ---- options ---- */

struct cli *cli_new(const struct opt_command *command, const char *program, int argc, const char *const *argv)
{
    struct cli *c = mem_new(sizeof *c);
    *c = (struct cli){.program = program, .command = command, .argc = argc, .argv = argv};
    c->origin = mem_new(sizeof rows / sizeof *rows * sizeof *c->origin);
    return c;
}

void cli_free(struct cli *c)
{
    if (!c)
        return;
    opt_settings_free(&c->file);
    arena_free(&c->memory);
    free(c->origin);
    free(c);
}

struct opt_command cli_file_command(void)
{
    struct opt_command c = *opt_command_find(&cli_table, "serve");
    c.groups &= ~(G(HELP) | G(CONFIG));
    return c;
}

int cli_read(struct cli *c, const char *path, struct lathe_err *err)
{
    struct opt_input in = {.table = &cli_table,
                           .command = c->command,
                           .argc = c->argc,
                           .argv = c->argv,
                           .get = env_get,
                           .file = &c->file,
                           .memory = &c->memory};
    const struct opt_command keys = cli_file_command();
    opt_settings_free(&c->file);
    c->file_path = path;
    if (path)
        TRY(opt_file_read(&cli_table, &keys, path, &c->file, err));
    memset(&c->o, 0, sizeof c->o);
    TRY(opt_parse(&in, &c->o, &c->operands, c->origin, err));
    opt_preset(&in, profiles, N(profiles), cli_profile(c), &c->o, c->origin);
    c->read = c->o;
    if (c->o.power && !c->o.n_thread)
        c->o.n_thread = (cpu_count() + 1) / 2;
    return 0;
}

bool cli_given(const struct cli *c, const char *option)
{
    const struct opt_row *row = opt_find(&cli_table, c->command, option, strlen(option));
    return row && c->origin[row - rows].source > OPT_FROM_PRESET;
}

const char *cli_profile(const struct cli *c)
{
    return profile_names[c->o.profile];
}

/* -m may be the name of a model in the store. */
static int find_model(struct cli *c, struct lathe_err *err)
{
    char path[STORE_PATH];
    if (!c->o.model || !(c->command->groups & G(FILE)) || c->command->groups & G(SHOW))
        return 0;
    TRY(store_resolve(c->o.store ? c->o.store : getenv("LATHE_STORE"), c->o.model, path, err));
    if (path[0])
        c->o.model = arena_dup(&c->memory, path, strlen(path));
    return 0;
}

int cli_main(int argc, const char *const *argv)
{
    struct lathe_err err = {0};
    if (argc < 2) {
        print_help(NULL);
        return 2;
    }
    const struct opt_command *command = command_of(argv[1], &err);
    if (!command)
        return say_error(&err);
    if (cpu_bad_mask()) {
        err_set(&err, LATHE_E_USAGE,
                "LATHE_CPU=%.40s is no level: %s is the widest here, lathe kernels lists them",
                cpu_bad_mask(), widest_isa());
        return say_error(&err);
    }
    struct cli *c = cli_new(command, argv[0], argc - 2, argv + 2);
    int rc = cli_read(c, NULL, &err);
    if (!rc && !c->o.help && c->o.config && command->groups & G(CONFIG) && !(command->groups & G(SHOW)))
        rc = cli_read(c, c->o.config, &err);
    if (!rc && c->o.help)
        rc = print_help(command);
    else if (!rc && !(rc = find_model(c, &err)))
        rc = functions[command - commands](c, &err);
    cli_free(c);
    if (rc < 0)
        return say_error(&err);
    if (fflush(stdout) || ferror(stdout)) {
        err_set(&err, LATHE_E_IO,
                "stdout: the output could not be written: is the disk full or the pipe closed?");
        return say_error(&err);
    }
    return rc;
}
