/* lathe serve: answers OpenAI clients over HTTP. */
#include <stdio.h>
#include <string.h>
#include "cli/session.h"
#ifdef LATHE_HAVE_SERVER
#include "cli/serve_live.h"

/* The model's name for clients: its file's, without folder and ending. */
static void name_of(const char *path, char *out, size_t n)
{
    const char *slash = strrchr(path, '/');
    snprintf(out, n, "%s", slash ? slash + 1 : path);
    char *dot = strrchr(out, '.');
    if (dot && dot != out)
        *dot = 0;
}

/* Defaults that depend on the model: context, and KV cache of twice that. */
static void set_defaults(const struct session *s, struct cli_options *o)
{
    int most = s->info.n_ctx_train < SESSION_CONTEXT ? s->info.n_ctx_train : SESSION_CONTEXT;
    if (!o->n_ctx)
        o->n_ctx = most;
    if (!o->n_kv_token)
        o->n_kv_token = o->n_ctx > SESSION_CONTEXT ? o->n_ctx : 2 * o->n_ctx;
}

static void say_ready(void *user, const char *url)
{
    const struct session *s = user;
    struct lathe_engine_plan p;
    lathe_engine_get_plan(s->engine, &p);
    printf("memory: weights %.0f MiB, KV %.0f MiB for %d tokens (up to %d sequences of up to %d), buffers "
           "%.0f MiB: %.0f MiB\n",
           (double)p.weight_bytes / 1048576.0, (double)p.kv_bytes / 1048576.0, p.n_kv_token, p.n_seq, p.n_ctx,
           (double)p.buffer_bytes / 1048576.0, (double)p.total_bytes / 1048576.0);
    printf("serving %s\n", url);
    fflush(stdout);
}

static void say_addresses(void *user, const char *url, const char *admin_url)
{
    const struct serving *serving = user;
    if (admin_url)
        printf("operations %s\n", admin_url);
    say_ready(serving->session, url);
}

int cmd_serve(struct cli *c, struct lathe_err *err)
{
    struct session s = {0};
    struct serving serving = {.started = c, .session = &s};
    char name[256];
    int rc;
    TRY_GOTO(session_open(&s, &c->o, err));
    set_defaults(&s, &c->o);
    TRY_GOTO(session_engine(&s, &c->o, c->o.n_parallel, 0, false, err));
    name_of(c->o.model, name, sizeof name);
    struct server_config config = {.model = s.model,
                                   .engine = s.engine,
                                   .model_name = name,
                                   .host = c->o.host,
                                   .port = c->o.port,
                                   .admin_listen = c->o.admin_listen,
                                   .insecure = c->o.insecure,
                                   .max_body_mib = c->o.max_body,
                                   .max_header_kib = c->o.max_header,
                                   .max_connection = c->o.max_connection,
                                   .max_per_address = c->o.max_per_address,
                                   .idle_s = c->o.idle_time,
                                   .reload = serve_live_reload,
                                   .ready = say_addresses,
                                   .user = &serving};
    serve_live_fill(&c->o, &config.live);
    rc = server_run(&config, err);
done:
    cli_free(serving.now);
    session_close(&s);
    return rc;
}
#else
int cmd_serve(struct cli *c, struct lathe_err *err)
{
    return err_set(err, LATHE_E_UNSUPPORTED,
                   "this build has no server: install libmicrohttpd-dev and libgnutls28-dev and build again");
}
#endif
