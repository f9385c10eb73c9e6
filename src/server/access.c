/* Who is let in. */
#include "server/access.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct names {
    struct arena memory;
    const char **v;
    int n;
};

struct access {
    bool insecure;
    const char *host; /* of --host */
    struct keys *keys;
    pthread_rwlock_t lock; /* of the names */
    struct names hosts, origins;
};

static void names_set(struct names *s, const char *const *v, int n)
{
    arena_free(&s->memory);
    s->v = arena_alloc(&s->memory, (size_t)(n + 1) * sizeof *s->v);
    s->n = n;
    for (int i = 0; i < n; i++)
        s->v[i] = arena_dup(&s->memory, v[i], strlen(v[i]));
}

static bool names_have(const struct names *s, const char *p, size_t n)
{
    for (int i = 0; i < s->n; i++)
        if (strlen(s->v[i]) == n && strncasecmp(s->v[i], p, n) == 0)
            return true;
    return false;
}

/* An origin is a scheme and a host, and no path; a page's header never has more. */
static int check_origins(const struct server_live *live, struct lathe_err *err)
{
    for (int i = 0; i < live->n_cors_origin; i++) {
        const char *o = live->cors_origins[i], *host = strstr(o, "://");
        if (strcmp(o, "*") != 0 && (!host || !host[3] || strchr(host + 3, '/')))
            return err_set(
                err, LATHE_E_USAGE,
                "cors-origin '%.100s' is no origin: scheme://host or scheme://host:port without a path, or *",
                o);
    }
    return 0;
}

static void set_names(struct access *a, const struct server_live *live)
{
    pthread_rwlock_wrlock(&a->lock);
    names_set(&a->hosts, live->allowed_hosts, live->n_allowed_host);
    names_set(&a->origins, live->cors_origins, live->n_cors_origin);
    pthread_rwlock_unlock(&a->lock);
}

int access_new(const struct server_config *c, struct access **out, struct lathe_err *err)
{
    struct keys *keys;
    TRY(check_origins(&c->live, err));
    TRY(keys_new(c->live.keys, c->live.api_key, &keys, err));
    struct access *a = *out = mem_new(sizeof *a);
    *a = (struct access){.insecure = c->insecure, .host = c->host, .keys = keys};
    pthread_rwlock_init(&a->lock, NULL);
    set_names(a, &c->live);
    return 0;
}

int access_reload(struct access *a, const struct server_live *live, struct lathe_err *err)
{
    TRY(check_origins(live, err));
    if (!live->keys && !live->api_key && keys_wanted(a->keys))
        return err_set(err, LATHE_E_USAGE,
                       "keys: all would be let in where keys were asked for: that needs a restart");
    TRY(keys_reload(a->keys, live->keys, live->api_key, err));
    set_names(a, live);
    return 0;
}

void access_free(struct access *a)
{
    if (!a)
        return;
    keys_free(a->keys);
    arena_free(&a->hosts.memory);
    arena_free(&a->origins.memory);
    pthread_rwlock_destroy(&a->lock);
    free(a);
}

bool access_has_keys(struct access *a)
{
    return keys_wanted(a->keys);
}

/* Whether the Host header names this machine: a page of a foreign site that had its name pointed at a loopback address does not.
 * Where nobody is let in without a key, which such a page has not, or all are, it is asked only if there are names. */
static bool host_is_ours(struct access *a, const char *host, bool has_keys)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    if (!host)
        return true;
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (n == strlen(names[i]) && strncasecmp(host, names[i], n) == 0)
            return true;
    size_t bare = host[0] == '[';
    if (n - 2 * bare == strlen(a->host) && strncasecmp(host + bare, a->host, n - 2 * bare) == 0)
        return true;
    pthread_rwlock_rdlock(&a->lock);
    bool ok = a->hosts.n ? names_have(&a->hosts, host, n) : a->insecure || has_keys;
    pthread_rwlock_unlock(&a->lock);
    return ok;
}

bool access_origin(struct access *a, const char *origin)
{
    if (!origin)
        return false;
    pthread_rwlock_rdlock(&a->lock);
    bool ok = names_have(&a->origins, "*", 1) || names_have(&a->origins, origin, strlen(origin));
    pthread_rwlock_unlock(&a->lock);
    return ok;
}

static void refuse(struct access_refusal *no, unsigned status, const char *code, const char *text)
{
    no->status = status;
    no->code = code;
    snprintf(no->text, sizeof no->text, "%s", text);
}

/* The secret that a request shows: Authorization: Bearer SECRET, or x-api-key: SECRET. */
static const char *secret_of(const struct access_ask *ask)
{
    static const char scheme[] = "Bearer ";
    const size_t n = sizeof scheme - 1;
    if (ask->authorization && strncasecmp(ask->authorization, scheme, n) == 0)
        return ask->authorization + n + strspn(ask->authorization + n, " ");
    return ask->api_key;
}

static void check_limits(const struct key *key, struct access_refusal *no)
{
    double retry;
    char text[160];
    static const char *const names[] = {"", "requests a minute", "tokens a minute", "requests at once"};
    enum key_verdict v = key_begin(key, &retry);
    if (v == KEY_GO)
        return;
    int limit = v == KEY_OVER_REQUESTS ? key->limits.requests
                : v == KEY_OVER_TOKENS ? key->limits.tokens
                                       : key->limits.concurrency;
    no->retry_s = retry < 1 ? 1 : (int)ceil(retry);
    snprintf(text, sizeof text, "the limit of this key is reached: %d %s; try again in %d s", limit, names[v],
             no->retry_s);
    refuse(no, 429, "rate_limit_exceeded", text);
}

void access_check(struct access *a, const struct access_ask *ask, const struct key **key,
                  struct access_refusal *no)
{
    bool has_keys = keys_wanted(a->keys);
    *no = (struct access_refusal){.status = 0};
    *key = NULL;
    if (!host_is_ours(a, ask->host, has_keys)) {
        refuse(no, 403, "bad_host", "the Host header does not name this server: --allowed-host adds names");
        return;
    }
    if (!has_keys || (ask->known && ask->roles == ROLE_NONE))
        return;
    const char *secret = secret_of(ask);
    *key = secret ? keys_find(a->keys, secret, strlen(secret)) : NULL;
    if (!*key)
        refuse(no, 401, "invalid_api_key",
               secret ? "this key is not known here" : "a key is needed: Authorization: Bearer KEY");
    else if (ask->known && !((*key)->roles & ask->roles))
        refuse(no, 403, "missing_role", "this key has not the role that this needs");
    else if (ask->counts)
        check_limits(*key, no);
}
