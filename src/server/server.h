/* The HTTP server over one model: starts, serves until a signal, drains. */
#ifndef LATHE_SERVER_SERVER_H
#define LATHE_SERVER_SERVER_H
#include <lathe.h>
#include "base/log.h"

/* What SIGHUP can change. Names and paths may be NULL. */
struct server_live {
    const char *keys;                 /* file */
    const char *api_key;              /* one secret with all roles */
    const char *tls_cert, *tls_key;   /* files */
    const char *const *allowed_hosts; /* [n_allowed_host] */
    const char *const *cors_origins;  /* [n_cors_origin] */
    int n_allowed_host, n_cors_origin;
    int stall_s, body_s;
    enum log_format log_format;
    enum log_level log_level;
    bool access_log, log_prompts;
};

struct server_config {
    lathe_model *model;
    lathe_engine *engine;
    const char *model_name;   /* what /v1/models calls it */
    const char *host;         /* numeric address */
    int port;                 /* 0: the system chooses */
    const char *admin_listen; /* HOST:PORT or unix:PATH for operations; NULL: on the first address */
    int ping_ms;              /* after which a stream that has nothing to tell says so; 0: 15 s */
    bool insecure;            /* an address that others reach is allowed without keys */
    int max_body_mib, max_header_kib, max_connection, max_per_address, idle_s;
    struct server_live live;
    /* Reads what can change again; what `live` points to stays until the next call. NULL: nothing changes. */
    int (*reload)(void *user, struct server_live *live, struct lathe_err *err);
    void *user; /* of both */
    void (*ready)(void *user, const char *url,
                  const char *admin_url); /* called once; admin_url may be NULL */
};

/* Memory that serving takes besides the engine at most, of a process that may take memory_bytes (0: no bound). */
uint64_t server_bytes(uint64_t memory_bytes);
/* Serves until SIGINT or SIGTERM, then finishes what is running; a second signal cancels that. SIGHUP reloads. Call it while no
 * other thread takes these signals; they stay blocked, so that a third one does not cut the end short. USAGE for an address that
 * may not be served, IO for one that cannot be had. */
int server_run(const struct server_config *c, struct lathe_err *err);
/* Whether server_run would find addresses, keys and certificates right; model and engine are not looked at. */
int server_check(const struct server_config *c, struct lathe_err *err);
#endif
