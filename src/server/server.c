/* The server: start, plain endpoints, signals, drain. */
#include "server/server.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "server/listen.h"
#include "server/notify.h"

enum { PING_MS = 15000 };

/* ---- plain endpoints ---- */

/* Whether the engine can go on, and does. */
static bool healthy(const struct server *s)
{
    return dispatch_healthy(s->dispatch) && dispatch_stalled_s(s->dispatch) < s->stall_s;
}

enum MHD_Result endpoint_health(struct call *c)
{
    bool ok = healthy(c->server);
    return http_reply(c, ok ? 200 : 503, json_pack("{ss}", "status", ok ? "ok" : "failed"), NULL);
}

enum MHD_Result endpoint_ready(struct call *c)
{
    const char *status = c->server->closing ? "closing" : healthy(c->server) ? "ready" : "failed";
    return http_reply(c, strcmp(status, "ready") == 0 ? 200 : 503, json_pack("{ss}", "status", status), NULL);
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

/* ---- what can change ---- */

static void apply(struct server *s, const struct server_live *live)
{
    log_setup(live->log_format, live->log_level);
    if (live->api_key && strlen(live->api_key) < KEY_SECRET_MIN)
        log_say(LOG_WARN, "weak_key",
                "LATHE_API_KEY has fewer than %d characters and can be guessed: lathe key new NAME makes one",
                KEY_SECRET_MIN);
    s->stall_s = live->stall_s;
    s->access_log = live->access_log;
    s->log_prompts = live->log_prompts;
    guard_set(s->guard, live->body_s);
}

static int check_tls(const struct server_live *live, struct lathe_err *err)
{
    if (!live->tls_cert == !live->tls_key)
        return 0;
    return err_set(err, LATHE_E_USAGE, "--tls-%s is given without --tls-%s", live->tls_cert ? "cert" : "key",
                   live->tls_cert ? "key" : "cert");
}

int server_check(const struct server_config *c, struct lathe_err *err)
{
    struct access *access = NULL;
    struct tls *tls = NULL;
    TRY(check_tls(&c->live, err));
    TRY(access_new(c, &access, err));
    int rc = listen_check(c, access_has_keys(access), err);
    if (!rc && c->live.tls_cert)
        rc = tls_new(c->live.tls_cert, c->live.tls_key, &tls, err);
    tls_free(tls);
    access_free(access);
    return rc;
}

/* Reads everything again; whatever is wrong, all stays as it was. */
static int reload(struct server *s, struct lathe_err *err)
{
    struct server_live live;
    TRY(s->config->reload(s->config->user, &live, err));
    TRY(check_tls(&live, err));
    if (!live.tls_cert != !s->tls)
        return err_set(err, LATHE_E_USAGE, "tls-cert: HTTPS begins and ends with a restart");
    if (s->tls)
        TRY(tls_reload(s->tls, live.tls_cert, live.tls_key, err));
    TRY(access_reload(s->access, &live, err));
    apply(s, &live);
    return 0;
}

static void on_hangup(struct server *s)
{
    struct lathe_err err;
    char state[80];
    if (!s->config->reload)
        return;
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)(clock_ns() / 1000));
    notify_send(state);
    if (reload(s, &err))
        log_say(LOG_ERROR, "reload", "nothing has changed: %s", err.text);
    else
        log_say(LOG_INFO, "reload", "configuration, keys and certificates are read again");
    notify_send("READY=1");
}

/* ---- life ---- */

static void announce(const struct server *s)
{
    char url[160], admin[160];
    listen_url(&s->main, url, sizeof url);
    bool has_admin = listen_url(&s->admin, admin, sizeof admin);
    s->config->ready(s->config->user, url, has_admin ? admin : NULL);
    notify_send("READY=1");
}

/* What has to be done a few times a second. */
static void tick(struct server *s, double *pinged_s)
{
    double every = notify_watchdog_s(), now = clock_s();
    int n_late = guard_sweep(s->guard);
    if (n_late)
        log_say(LOG_DEBUG, "late", "%d connections closed: their requests were not whole in time", n_late);
    if (every > 0 && now - *pinged_s >= every && healthy(s)) {
        notify_send("WATCHDOG=1");
        *pinged_s = now;
    }
}

/* Waits for a signal, then until what runs has ended and been sent, or for a second signal. A client that does not read is
 * closed by the time limit of its connection. */
static void serve(struct server *s, const sigset_t *signals)
{
    const struct timespec calm = {.tv_nsec = 200000000}, soon = {.tv_nsec = 20000000};
    double pinged_s = 0;
    for (;;) {
        int signal = sigtimedwait(signals, NULL, s->closing ? &soon : &calm);
        tick(s, &pinged_s);
        if (signal == SIGHUP)
            on_hangup(s);
        else if (signal > 0 && s->closing)
            return;
        else if (signal > 0) {
            notify_send("STOPPING=1");
            s->closing = true;
            dispatch_close(s->dispatch);
        }
        if (s->closing && dispatch_idle(s->dispatch) && !s->n_answer)
            return;
    }
}

static void on_gone(void *user, struct exchange *x)
{
    struct server *s = user;
    dispatch_cancel(s->dispatch, x);
    exchange_hang_up(x);
}

/* All that serves; what fails leaves the rest for close_all. */
static int open_all(struct server *s, struct lathe_err *err)
{
    const struct server_config *c = s->config;
    TRY(mhd_load(err));
    TRY(gnutls_lib_load(err));
    TRY(check_tls(&c->live, err));
    TRY(access_new(c, &s->access, err));
    TRY(listen_check(c, access_has_keys(s->access), err));
    if (c->live.tls_cert)
        TRY(tls_new(c->live.tls_cert, c->live.tls_key, &s->tls, err));
    s->guard = guard_new(c->live.body_s, c->idle_s);
    apply(s, &c->live);
    lathe_engine_get_plan(c->engine, &s->plan);
    bodies_init(&s->bodies, s->plan.memory_bytes);
    if (s->bodies.each > (uint64_t)c->max_body_mib << 20)
        s->bodies.each = (uint64_t)c->max_body_mib << 20;
    s->metrics = metrics_new(http_n_endpoint);
    s->chats =
        lathe_chat_cache_new(lathe_model_vocab(c->model), bodies_chat_cache_bytes(s->plan.memory_bytes));
    TRY(dispatch_new(c->engine, &s->dispatch, err));
    TRY(watch_new(on_gone, s, c->ping_ms ? c->ping_ms : PING_MS, &s->watch, err));
    return listen_open(s, err);
}

static void close_all(struct server *s)
{
    if (s->dispatch)
        dispatch_stop(s->dispatch); /* ends what still runs, so that no connection is left suspended */
    listen_close(s);
    watch_free(s->watch);
    dispatch_free(s->dispatch);
    metrics_free(s->metrics);
    lathe_chat_cache_free(s->chats);
    pthread_mutex_destroy(&s->lock);
    guard_free(s->guard);
    tls_free(s->tls);
    access_free(s->access);
}

int server_run(const struct server_config *c, struct lathe_err *err)
{
    struct server s = {.config = c};
    sigset_t signals;
    pthread_mutex_init(&s.lock, NULL);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    int rc = open_all(&s, err);
    if (!rc) {
        announce(&s);
        serve(&s, &signals);
    }
    close_all(&s);
    return rc;
}
