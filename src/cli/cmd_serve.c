/* lathe serve: answers OpenAI clients over HTTP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "cli/session.h"
#ifdef LATHE_HAVE_SERVER
#include "cli/serve_live.h"

/* The model's name for clients: its file's, without folder and ending; a folder's is whole, and "." has one, too. */
static void name_of(const char *path, char *out, size_t n)
{
    struct stat st;
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    char *real = folder ? realpath(path, NULL) : NULL;
    const char *from = real ? real : path, *slash = strrchr(from, '/');
    snprintf(out, n, "%s", slash ? slash + 1 : from);
    char *dot = folder ? NULL : strrchr(out, '.');
    if (dot && dot != out)
        *dot = 0;
    free(real);
}

enum { PARALLEL_DEFAULT = 16, SWAP_DEFAULT = 256 << 20, QUEUE_DEFAULT = 1024 };

/* What the options leave open depends on the model, and is made smaller where memory is short; what they say is not. */
static struct lathe_engine_options set_defaults(const struct session *s, const struct cli *c)
{
    const struct cli_options *o = &c->o;
    struct lathe_engine_options eo =
        session_engine_options(s, o, o->n_parallel ? o->n_parallel : PARALLEL_DEFAULT, SESSION_CONTEXT);
    uint64_t room = lathe_memory_room();
    const struct {
        const char *option;
        bool value;
        unsigned bit;
    } firm[] = {{"ctx", o->n_ctx, LATHE_FIRM_CTX},           {"parallel", o->n_parallel, LATHE_FIRM_SEQ},
                {"kv-tokens", o->n_kv_token, LATHE_FIRM_KV}, {"swap", o->swap, LATHE_FIRM_SWAP},
                {"chunk", o->n_chunk, LATHE_FIRM_CHUNK},     {"queue", o->n_queue, LATHE_FIRM_QUEUE}};
    if (room != UINT64_MAX && !cli_given(c, "memory")) {
        uint64_t most = room - room / 16; /* the rest is for others */
        eo.memory_bytes = eo.memory_bytes && eo.memory_bytes < most ? eo.memory_bytes : most;
    }
    if (!cli_given(c, "swap") && o->memory) /* under a bound KV has more use for it */
        eo.swap_bytes = 0;
    else if (!o->swap && s->info.generates)
        eo.swap_bytes = SWAP_DEFAULT;
    if (!o->n_queue)
        eo.n_queue = QUEUE_DEFAULT;
    eo.reserve_bytes = server_bytes(eo.memory_bytes);
    eo.firm = 0;
    for (size_t i = 0; i < sizeof firm / sizeof *firm; i++)
        if (firm[i].value && cli_given(c, firm[i].option))
            eo.firm |= firm[i].bit;
    int n_ctx = eo.n_ctx ? eo.n_ctx : s->info.n_ctx_train;
    if (!eo.n_kv_token && !o->memory)
        eo.n_kv_token = n_ctx > SESSION_CONTEXT ? n_ctx : 2 * n_ctx;
    return eo;
}

static void say_ready(void *user, const char *url)
{
    const struct session *s = user;
    struct lathe_engine_plan p;
    const double mib = 1.0 / 1048576.0;
    lathe_engine_get_plan(s->engine, &p);
    printf("memory: weights %.0f MiB, KV %.0f MiB for %d tokens (up to %d sequence%s of up to %d), buffers "
           "up to "
           "%.0f MiB",
           (double)p.weight_bytes * mib, (double)p.kv_bytes * mib, p.n_kv_token, p.n_seq,
           p.n_seq == 1 ? "" : "s", p.n_ctx, (double)(p.buffer_bytes - p.swap_bytes) * mib);
    if (p.swap_bytes)
        printf(", swap space up to %.0f MiB", (double)p.swap_bytes * mib);
    printf(", %d thread%s: at most %.0f MiB", p.n_thread, p.n_thread == 1 ? "" : "s",
           (double)p.total_bytes * mib);
    if (p.memory_bytes)
        printf(" of %.0f MiB", (double)p.memory_bytes * mib);
    printf("\n");
    if (p.placement[0])
        printf("nodes: %s; weights alternate, KV by heads\n", p.placement);
    printf("serving %s\n", url);
    fflush(stdout);
    lathe_engine_warm(s->engine);
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
    struct server_config config;
    char name[256];
    int rc;
    serve_config(&c->o, &config);
    TRY(server_check(&config, err)); /* before the model, which may take its time */
    mem_few_arenas();
    TRY_GOTO(session_open(&s, &c->o, err));
    struct lathe_engine_options eo = set_defaults(&s, c);
    TRY_GOTO(lathe_engine_new(s.model, &eo, &s.engine, err));
    session_say_stream(&s);
    name_of(c->o.model, name, sizeof name);
    config.model = s.model;
    config.engine = s.engine;
    config.model_name = name;
    config.reload = serve_live_reload;
    config.ready = say_addresses;
    config.user = &serving;
    rc = server_run(&config, err);
done:
    cli_free(serving.now);
    session_close(&s);
    return rc;
}
#else
int cmd_serve(struct cli *c, struct lathe_err *err)
{
    return err_not_built(err, "has no server", "libmicrohttpd-dev with libgnutls28-dev");
}
#endif
