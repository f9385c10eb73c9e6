/* The server: start, plain endpoints, signals, drain. */
#include "server/server.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "server/http.h"

/* ---- plain endpoints ---- */

enum MHD_Result endpoint_health(struct call *c)
{
    bool ok = dispatch_healthy(c->server->dispatch);
    return http_reply(c, ok ? 200 : 503, json_pack("{ss}", "status", ok ? "ok" : "failed"), NULL);
}

enum MHD_Result endpoint_ready(struct call *c)
{
    bool ok = dispatch_healthy(c->server->dispatch) && !c->server->closing;
    return http_reply(c, ok ? 200 : 503, json_pack("{ss}", "status", ok ? "ready" : "closing"), NULL);
}

enum MHD_Result endpoint_models(struct call *c)
{
    const struct server *s = c->server;
    return http_reply(c, 200,
                      json_pack("{ss s[{ss ss si ss si}]}", "object", "list", "data", "id",
                                s->config->model_name, "object", "model", "created", 0, "owned_by", "lathe",
                                "max_model_len", s->plan.n_ctx),
                      NULL);
}

/* ---- life ---- */

static void announce(const struct server *s, void (*ready)(void *user, const char *url), void *user)
{
    char url[128];
    const union MHD_DaemonInfo *info = mhd.get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
    bool v6 = strchr(s->config->host, ':') != NULL;
    snprintf(url, sizeof url, "http://%s%s%s:%d", v6 ? "[" : "", s->config->host, v6 ? "]" : "",
             info ? info->port : s->config->port);
    ready(user, url);
}

/* Waits for a signal, then until what runs has ended and been sent, or for a second signal. A client that does not read is
 * closed by the time limit of its connection. */
static void serve(struct server *s, const sigset_t *signals)
{
    int signal;
    struct timespec poll = {.tv_nsec = 20000000};
    sigwait(signals, &signal);
    s->closing = true;
    dispatch_close(s->dispatch);
    while ((!dispatch_idle(s->dispatch) || s->n_answer) && sigtimedwait(signals, NULL, &poll) < 0)
        ;
}

int server_run(const struct server_config *c, void (*ready)(void *user, const char *url), void *user,
               struct lathe_err *err)
{
    struct server s = {.config = c};
    sigset_t signals, before;
    TRY(mhd_load(err));
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    signal(SIGPIPE, SIG_IGN);
    lathe_engine_get_plan(c->engine, &s.plan);
    bodies_init(&s.bodies, s.plan.memory_bytes);
    pthread_mutex_init(&s.lock, NULL);
    s.metrics = metrics_new(http_n_endpoint);
    int rc = dispatch_new(c->engine, &s.dispatch, err);
    if (!rc)
        rc = http_start(&s, err);
    if (!rc) {
        announce(&s, ready, user);
        serve(&s, &signals);
    }
    if (s.dispatch)
        dispatch_stop(s.dispatch); /* ends what still runs, so that no connection is left suspended */
    if (s.daemon)
        mhd.stop_daemon(s.daemon);
    watch_free(s.watch);
    dispatch_free(s.dispatch);
    metrics_free(s.metrics);
    pthread_mutex_destroy(&s.lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}
