/* lathe serve: answers OpenAI clients over HTTP. */
#include <stdio.h>
#include <string.h>
#include "cli/session.h"
#ifdef LATHE_HAVE_SERVER
#include "server/server.h"

#define CONTEXT_DEFAULT 8192

/* The model's name for clients: its file's, without folder and ending. */
static void name_of(const char *path, char *out, size_t n)
{
    const char *slash = strrchr(path, '/');
    snprintf(out, n, "%s", slash ? slash + 1 : path);
    char *dot = strrchr(out, '.');
    if (dot && dot != out)
        *dot = 0;
}

static int make_engine(struct session *s, const struct cli_options *o, struct lathe_err *err)
{
    struct lathe_engine_options eo;
    lathe_engine_options_init(&eo);
    int most = s->info.n_ctx_train < CONTEXT_DEFAULT ? s->info.n_ctx_train : CONTEXT_DEFAULT;
    eo.n_thread = o->n_thread;
    eo.n_ctx = o->n_ctx ? o->n_ctx : most;
    eo.n_seq = o->n_parallel;
    eo.n_kv_token = o->n_kv_token ? o->n_kv_token : eo.n_ctx > CONTEXT_DEFAULT ? eo.n_ctx : 2 * eo.n_ctx;
    eo.n_chunk = o->n_chunk;
    eo.no_fusion = o->fusion == 0;
    return lathe_engine_new(s->model, &eo, &s->engine, err);
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

int cmd_serve(struct cli *c, struct lathe_err *err)
{
    struct session s = {0};
    char name[256];
    int rc;
    TRY_GOTO(session_open(&s, &c->o, err));
    TRY_GOTO(make_engine(&s, &c->o, err));
    name_of(c->o.model, name, sizeof name);
    struct server_config config = {.model = s.model,
                                   .engine = s.engine,
                                   .model_name = name,
                                   .host = c->o.host,
                                   .port = c->o.port,
                                   .insecure = c->o.insecure};
    rc = server_run(&config, say_ready, &s, err);
done:
    session_close(&s);
    return rc;
}
#else
int cmd_serve(struct cli *c, struct lathe_err *err)
{
    return err_set(err, LATHE_E_UNSUPPORTED,
                   "this build has no server: install libmicrohttpd-dev and build again");
}
#endif
