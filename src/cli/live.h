/* Which options of serve can change while it runs. */
#ifndef LATHE_CLI_LIVE_H
#define LATHE_CLI_LIVE_H
#include "cli/cli.h"

/* Whether the row takes effect on SIGHUP, else on a restart. */
bool live_row(const struct opt_row *row);
/* Adds to `out`, with commas, the names of the options of `command` that differ between the two and need a restart. */
void live_restart_names(const struct opt_command *command, const struct cli_options *running,
                        const struct cli_options *now, struct buf *out);
/* "lathe.yaml:3", "LATHE_PORT", "command line" or "default". */
void live_origin_text(const struct cli *c, const struct opt_row *row, struct buf *out);
#endif
