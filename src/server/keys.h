/* Keys of clients: who may do what, and how much.
 *
 * A key's secret has 256 random bits and is kept nowhere; the file has its SHA-256. A slow password hash would protect secrets
 * that can be guessed, and these cannot, so that a fast one is right and costs a request microseconds. A line of the file:
 *
 *     NAME  ROLE,ROLE  sha256:HEX  [requests=N] [tokens=N] [concurrency=N]
 *
 * Limits are per minute but for the last. Several lines of one name are several keys of one client, for rotation: all are valid,
 * and count against the same limits. They must say the same but for the hash. */
#ifndef LATHE_SERVER_KEYS_H
#define LATHE_SERVER_KEYS_H
#include "base/mem.h"

#define KEY_ROLES(R)      \
    R(INFER, "infer")     \
    R(METRICS, "metrics") \
    R(ADMIN, "admin")

enum { KEY_INFER_bit, KEY_METRICS_bit, KEY_ADMIN_bit };
enum key_role {
    ROLE_NONE = 0,
#define R(name, text) ROLE_##name = 1 << KEY_##name##_bit,
    KEY_ROLES(R)
#undef R
};
enum { KEY_NAME_MAX = 64, KEY_COUNT_MAX = 100000, KEY_SECRET_MIN = 16 };

struct key_limits {
    int requests, tokens; /* a minute; 0: no limit */
    int concurrency;      /* 0: no limit */
};

/* What a client is known as. */
struct key {
    const char *name;
    uint64_t tenant; /* of the name; the same in every run */
    unsigned roles;
    struct key_limits limits;
};

struct keys;

/* Reads the file (NULL: none) and one secret with all roles (NULL: none). FILE or USAGE with the line at fault. */
int keys_new(const char *path, const char *secret, struct keys **out, struct lathe_err *err);
void keys_free(struct keys *k);
/* The same anew: all that `path` and `secret` say replaces what was, or nothing does. What clients have used up of their
 * limits stays. Any thread. */
int keys_reload(struct keys *k, const char *path, const char *secret, struct lathe_err *err);
/* Whether there are to be keys at all; without, everybody is let in. */
bool keys_wanted(struct keys *k);
int keys_count(struct keys *k);
/* The key with this secret, to be given back with key_release; NULL: there is none. Any thread. */
const struct key *keys_find(struct keys *k, const char *secret, size_t n_secret);
void key_release(const struct key *key); /* NULL is legal */

/* Before and after a request. A refusal says in how many seconds it can be tried again, and needs no key_end. */
enum key_verdict { KEY_GO, KEY_OVER_REQUESTS, KEY_OVER_TOKENS, KEY_OVER_CONCURRENCY };
enum key_verdict key_begin(const struct key *key, double *retry_s);
void key_end(const struct key *key);
/* Tokens that a request took, read and written; past its limit a key is refused until the minute has made up for them. */
void key_count_tokens(const struct key *key, int n);

/* A fresh secret, and the line for the file. USAGE for a name or a limit that cannot be. `roles` are words with commas. */
int key_make(const char *name, const char *roles, const struct key_limits *limits, struct buf *secret,
             struct buf *line, struct lathe_err *err);
/* Words with commas to bits; the words at fault in err. */
int key_roles_read(const char *words, unsigned *roles, struct lathe_err *err);
#endif
