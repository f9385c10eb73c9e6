/* The HTTP server over one model: starts, serves until a signal, drains. */
#ifndef LATHE_SERVER_SERVER_H
#define LATHE_SERVER_SERVER_H
#include <lathe.h>

struct server_config {
    lathe_model *model;
    lathe_engine *engine;
    const char *model_name; /* what /v1/models calls it */
    const char *host;       /* numeric address */
    int port;               /* 0: the system chooses */
    int ping_ms;            /* after which a stream that has nothing to tell says so; 0: 15 s */
    bool insecure;          /* an address that others reach is allowed */
};

/* Memory that serving takes besides the engine at most, of a process that may take memory_bytes (0: no bound). */
uint64_t server_bytes(uint64_t memory_bytes);
/* Serves until SIGINT or SIGTERM, then finishes what is running; a second signal cancels that. `ready` is called once
 * with the address. Call it before other threads exist that could take the signals. USAGE for an address that may not
 * be served, IO for one that cannot be had. */
int server_run(const struct server_config *c, void (*ready)(void *user, const char *url), void *user,
               struct lathe_err *err);
#endif
