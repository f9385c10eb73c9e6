/* lathe help: help on commands, the man page and completion, all from the option rows. */
#include <stdio.h>
#include "cli/cli.h"

int cmd_help(struct cli *c, struct lathe_err *err)
{
    struct buf out;
    buf_init(&out, 1u << 20);
    int rc = 0;
    const struct opt_command *command = NULL;
    if (c->operands.n) {
        command = opt_command_find(&cli_table, c->operands.v[0]);
        if (!command)
            rc = err_set(err, LATHE_E_USAGE, "'%.60s' is no command: see lathe help", c->operands.v[0]);
    }
    if (!rc && c->o.man)
        opt_man(&cli_table, lathe_version(), &out);
    else if (!rc && c->o.completion)
        rc = opt_completion(&cli_table, c->o.completion, &out, err);
    else if (!rc)
        opt_help(&cli_table, command, &out);
    if (!rc)
        fwrite(out.p, 1, out.n, stdout);
    buf_free(&out);
    return rc;
}
