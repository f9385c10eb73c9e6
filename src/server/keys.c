/* Keys of clients.
 *
 * A set of keys is read whole and never changes; a reload makes another and swaps it in, and the old one goes with the last
 * request that holds a key of it. Inside are two hash tables with open addressing: from a secret's hash to a line, and, while
 * reading, from a name to its key. What a client has used lies in its account, which the sets share:
 *
 *     keys -> set -> line[hash] -> key (name, roles, limits) -> account (buckets, running)
 *
 * A bucket holds a minute's worth and fills at a minute's rate; requests take one before, tokens are taken after, below zero
 * if need be. */
#include "server/keys.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/clock.h"
#include "server/key_line.h"

struct account {
    _Atomic int n_ref;
    pthread_mutex_t lock;
    double requests, tokens; /* that are left */
    double at;               /* when they were filled up */
    int n_running;
};

struct member {
    struct key key; /* first: what is given out */
    struct set *set;
    struct account *account;
    int line; /* where it was first named */
};

struct set {
    _Atomic int n_ref;
    struct arena memory;
    struct member **by_name;
    struct slot {
        unsigned char hash[KEY_HASH_BYTES];
        struct member *member;
    } * by_hash;
    size_t mask; /* of both; sizes are powers of two */
    int n_line;
};

struct keys {
    pthread_mutex_t lock;
    struct set *set;
    bool wanted;
};

/* ---- accounts ---- */

static void account_unref(struct account *a)
{
    if (!a || atomic_fetch_sub(&a->n_ref, 1) > 1)
        return;
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static struct account *account_new(const struct key_limits *l)
{
    struct account *a = mem_new(sizeof *a);
    a->n_ref = 1;
    pthread_mutex_init(&a->lock, NULL);
    a->requests = l->requests;
    a->tokens = l->tokens;
    a->at = clock_s();
    return a;
}

static double filled(double left, int limit, double seconds)
{
    left += limit * seconds / 60;
    return left < limit ? left : limit;
}

/* With the lock held. */
static void fill(struct account *a, const struct key_limits *l)
{
    double now = clock_s();
    a->requests = filled(a->requests, l->requests, now - a->at);
    a->tokens = filled(a->tokens, l->tokens, now - a->at);
    a->at = now;
}

static double seconds_until(double left, double wanted, int limit)
{
    return (wanted - left) * 60 / limit;
}

enum key_verdict key_begin(const struct key *key, double *retry_s)
{
    struct account *a = ((const struct member *)key)->account;
    const struct key_limits *l = &key->limits;
    enum key_verdict verdict = KEY_GO;
    *retry_s = 0;
    pthread_mutex_lock(&a->lock);
    fill(a, l);
    if (l->concurrency && a->n_running >= l->concurrency) {
        verdict = KEY_OVER_CONCURRENCY;
        *retry_s = 1;
    } else if (l->requests && a->requests < 1) {
        verdict = KEY_OVER_REQUESTS;
        *retry_s = seconds_until(a->requests, 1, l->requests);
    } else if (l->tokens && a->tokens < 1) {
        verdict = KEY_OVER_TOKENS;
        *retry_s = seconds_until(a->tokens, 1, l->tokens);
    } else {
        a->requests -= l->requests ? 1 : 0;
        a->n_running++;
    }
    pthread_mutex_unlock(&a->lock);
    return verdict;
}

void key_end(const struct key *key)
{
    struct account *a = ((const struct member *)key)->account;
    pthread_mutex_lock(&a->lock);
    a->n_running--;
    pthread_mutex_unlock(&a->lock);
}

void key_count_tokens(const struct key *key, int n)
{
    struct account *a = ((const struct member *)key)->account;
    pthread_mutex_lock(&a->lock);
    fill(a, &key->limits);
    a->tokens -= key->limits.tokens ? n : 0;
    pthread_mutex_unlock(&a->lock);
}

/* ---- sets ---- */

static struct set *set_new(int n_line)
{
    struct set *s = mem_new(sizeof *s);
    size_t n = 16;
    while (n < 2 * (size_t)n_line)
        n *= 2;
    s->n_ref = 1;
    s->mask = n - 1;
    s->by_hash = mem_new(n * sizeof *s->by_hash);
    s->by_name = mem_new(n * sizeof *s->by_name);
    return s;
}

static void set_unref(struct set *s)
{
    if (!s || atomic_fetch_sub(&s->n_ref, 1) > 1)
        return;
    for (size_t i = 0; i <= s->mask; i++)
        if (s->by_name[i])
            account_unref(s->by_name[i]->account);
    free(s->by_hash);
    free(s->by_name);
    arena_free(&s->memory);
    free(s);
}

static struct member **place_of_name(const struct set *s, const char *name, uint64_t tenant)
{
    size_t i = tenant & s->mask;
    while (s->by_name[i] && strcmp(s->by_name[i]->key.name, name) != 0)
        i = (i + 1) & s->mask;
    return &s->by_name[i];
}

/* Compares all bytes, however many are equal. */
static bool same_hash(const unsigned char *a, const unsigned char *b)
{
    unsigned char different = 0;
    for (int i = 0; i < KEY_HASH_BYTES; i++)
        different |= a[i] ^ b[i];
    return different == 0;
}

static struct slot *place_of_hash(const struct set *s, const unsigned char *hash)
{
    uint64_t first;
    memcpy(&first, hash, sizeof first);
    size_t i = first & s->mask;
    while (s->by_hash[i].member && !same_hash(s->by_hash[i].hash, hash))
        i = (i + 1) & s->mask;
    return &s->by_hash[i];
}

static struct member *member_new(struct set *s, const struct key_line *line, uint64_t tenant, int number)
{
    struct member *m = arena_alloc(&s->memory, sizeof *m);
    *m = (struct member){.key = {.name = arena_dup(&s->memory, line->name, strlen(line->name)),
                                 .tenant = tenant,
                                 .roles = line->roles,
                                 .limits = line->limits},
                         .set = s,
                         .line = number};
    return m;
}

/* A line into the set; what its client has used comes from `before`, which may be NULL. */
static int add(struct set *s, const struct set *before, const struct key_line *line, const char *path,
               int number, struct lathe_err *err)
{
    uint64_t tenant = XXH3_64bits(line->name, strlen(line->name));
    struct member **by_name = place_of_name(s, line->name, tenant), *m = *by_name;
    struct slot *slot = place_of_hash(s, line->hash);
    if (slot->member)
        return err_set(err, LATHE_E_USAGE,
                       "%.200s:%d: this hash was already given to %s: each key is one line", path, number,
                       slot->member->key.name);
    if (m && (m->key.roles != line->roles || memcmp(&m->key.limits, &line->limits, sizeof line->limits) != 0))
        return err_set(
            err, LATHE_E_USAGE,
            "%.200s:%d: %s has other roles or limits here than in line %d: keys of one name must agree", path,
            number, line->name, m->line);
    if (!m) {
        *by_name = m = member_new(s, line, tenant, number);
        struct member *old = before ? *place_of_name(before, line->name, tenant) : NULL;
        m->account = old ? old->account : account_new(&line->limits);
        if (old)
            atomic_fetch_add(&m->account->n_ref, 1);
    }
    memcpy(slot->hash, line->hash, KEY_HASH_BYTES);
    slot->member = m;
    s->n_line++;
    return 0;
}

/* The secret of the environment as a line. */
static int secret_line(const char *secret, struct key_line *line, struct lathe_err *err)
{
    *line = (struct key_line){.name = "LATHE_API_KEY", .roles = ROLE_INFER | ROLE_METRICS | ROLE_ADMIN};
    return key_hash(secret, strlen(secret), line->hash, err);
}

static int read_set(const char *path, const char *secret, const struct set *before, struct set **out,
                    struct lathe_err *err)
{
    struct buf text;
    struct key_line line;
    const char *at;
    int rc = 0, number = 0;
    TRY(key_file_read(path, &text, err));
    *out = set_new(key_file_lines(&text) + 1);
    if (secret) {
        TRY_GOTO(secret_line(secret, &line, err));
        TRY_GOTO(add(*out, before, &line, "environment", 0, err));
    }
    for (at = text.p; at && *at;) {
        bool is_key;
        TRY_GOTO(key_line_read(&at, path, ++number, &line, &is_key, err));
        if (is_key)
            TRY_GOTO(add(*out, before, &line, path, number, err));
    }
done:
    buf_free(&text);
    if (rc)
        set_unref(*out);
    return rc;
}

/* ---- all ---- */

int keys_reload(struct keys *k, const char *path, const char *secret, struct lathe_err *err)
{
    struct set *s;
    pthread_mutex_lock(&k->lock); /* reading is short, and nobody gets in on keys that are being taken away */
    int rc = read_set(path, secret, k->set, &s, err);
    if (!rc) {
        set_unref(k->set);
        k->set = s;
        k->wanted = path || secret;
    }
    pthread_mutex_unlock(&k->lock);
    return rc;
}

int keys_new(const char *path, const char *secret, struct keys **out, struct lathe_err *err)
{
    struct keys *k = mem_new(sizeof *k);
    pthread_mutex_init(&k->lock, NULL);
    int rc = keys_reload(k, path, secret, err);
    if (rc)
        keys_free(k);
    else
        *out = k;
    return rc;
}

void keys_free(struct keys *k)
{
    if (!k)
        return;
    set_unref(k->set);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

bool keys_wanted(struct keys *k)
{
    pthread_mutex_lock(&k->lock);
    bool wanted = k->wanted;
    pthread_mutex_unlock(&k->lock);
    return wanted;
}

int keys_count(struct keys *k)
{
    pthread_mutex_lock(&k->lock);
    int n = k->set->n_line;
    pthread_mutex_unlock(&k->lock);
    return n;
}

const struct key *keys_find(struct keys *k, const char *secret, size_t n_secret)
{
    unsigned char hash[KEY_HASH_BYTES];
    if (key_hash(secret, n_secret, hash, NULL))
        return NULL;
    pthread_mutex_lock(&k->lock);
    struct member *m = place_of_hash(k->set, hash)->member;
    if (m)
        atomic_fetch_add(&k->set->n_ref, 1);
    pthread_mutex_unlock(&k->lock);
    return m ? &m->key : NULL;
}

void key_release(const struct key *key)
{
    if (key)
        set_unref(((const struct member *)key)->set);
}
