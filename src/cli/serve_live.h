/* The options of serve on their way to the server, and again when those that can change are read anew. */
#ifndef LATHE_CLI_SERVE_LIVE_H
#define LATHE_CLI_SERVE_LIVE_H
#include "cli/cli.h"
#include "server/server.h"

struct session;

/* What a reload compares with, and what it read last. */
struct serving {
    const struct cli *started;
    struct cli *now; /* NULL: nothing was read again */
    struct session *session;
};

/* All but the model, the engine and the functions. The pointers are into `o` and the environment. */
void serve_config(const struct cli_options *o, struct server_config *config);
/* Reads the options again as at the start, and names in the log those that have changed and need a restart. */
int serve_live_reload(void *serving, struct server_live *live, struct lathe_err *err);
#endif
