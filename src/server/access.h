/* Who is let in: hosts, origins, keys, roles, limits. All of it can be read again while requests come. */
#ifndef LATHE_SERVER_ACCESS_H
#define LATHE_SERVER_ACCESS_H
#include "server/keys.h"
#include "server/server.h"

struct access;

int access_new(const struct server_config *c, struct access **out, struct lathe_err *err);
void access_free(struct access *a);
/* Replaces everything, or nothing. */
int access_reload(struct access *a, const struct server_live *live, struct lathe_err *err);
/* Whether clients need keys. */
bool access_has_keys(struct access *a);

/* What is known of a request when its headers are there; texts may be NULL. */
struct access_ask {
    const char *host, *origin, *authorization, *api_key; /* headers */
    bool known;                                          /* there is such a path */
    unsigned roles; /* of which its endpoint asks for one; ROLE_NONE: for everybody */
    bool counts;    /* against the limits of the key */
};
/* Why it is not let in; status 0: it is. */
struct access_refusal {
    unsigned status;
    const char *code;
    char text[240];
    int retry_s; /* 0: of no use */
};
/* Gives the key, NULL without keys, to be given back with key_release. If it counts and is let in, key_end is called in the end. */
void access_check(struct access *a, const struct access_ask *ask, const struct key **key,
                  struct access_refusal *no);
/* Whether a page of this origin may call. */
bool access_origin(struct access *a, const char *origin);
#endif
