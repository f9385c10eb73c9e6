/* The options of serve on their way to the server. */
#ifdef LATHE_HAVE_SERVER
#include "cli/serve_live.h"
#include <stdlib.h>
#include "cli/live.h"

static void fill_live(const struct cli_options *o, struct server_live *live)
{
    const char *secret = getenv("LATHE_API_KEY");
    *live = (struct server_live){.keys = o->keys,
                                 .api_key = secret && *secret ? secret : NULL,
                                 .tls_cert = o->tls_cert,
                                 .tls_key = o->tls_key,
                                 .allowed_hosts = o->allowed_host.v,
                                 .n_allowed_host = o->allowed_host.n,
                                 .cors_origins = o->cors_origin.v,
                                 .n_cors_origin = o->cors_origin.n,
                                 .stall_s = o->stall_time,
                                 .body_s = o->body_time,
                                 .log_format = (enum log_format)o->log,
                                 .log_level = (enum log_level)o->log_level,
                                 .access_log = o->access_log,
                                 .log_prompts = o->log_prompts};
}

void serve_config(const struct cli_options *o, struct server_config *config)
{
    *config = (struct server_config){.host = o->host,
                                     .port = o->port,
                                     .admin_listen = o->admin_listen,
                                     .insecure = o->insecure,
                                     .max_body_mib = o->max_body,
                                     .max_header_kib = o->max_header,
                                     .max_connection = o->max_connection,
                                     .max_per_address = o->max_per_address,
                                     .idle_s = o->idle_time};
    fill_live(o, &config->live);
}

static void tell_restart_names(const struct cli *before, const struct cli *now)
{
    struct buf names;
    buf_init(&names, 4096);
    live_restart_names(now->command, &before->read, &now->read, &names);
    if (names.n)
        log_say(LOG_WARN, "reload", "changed, and takes effect on a restart: %s", names.p);
    buf_free(&names);
}

int serve_live_reload(void *user, struct server_live *live, struct lathe_err *err)
{
    struct serving *s = user;
    const struct cli *c = s->started;
    struct cli *now = cli_new(c->command, c->program, c->argc, c->argv);
    int rc = cli_read(now, c->file_path, err);
    if (rc) {
        cli_free(now);
        return rc;
    }
    tell_restart_names(c, now);
    cli_free(s->now); /* the server has copied what it keeps */
    s->now = now;
    fill_live(&now->o, live);
    return 0;
}
#endif
