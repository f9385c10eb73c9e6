/* Gets a model into the store. */
#ifndef LATHE_STORE_PULL_H
#define LATHE_STORE_PULL_H
#include "store/fetch.h"
#include "store/store.h"

struct pull {
    const char *spec;   /* as spec_read takes it */
    const char *sha256; /* of the one file; NULL: what the hub says, if it is one */
    const char *store;  /* folder */
    int n_retry;
    void (*progress)(void *user, const char *what, double share); /* may be NULL */
    void (*note)(void *user, const char *line);                   /* may be NULL */
    void *user;
};

/* *out is the model's record, for store_free. What was got stays when it fails: the next pull goes on from there. Two pulls
 * of one model wait for each other. */
int pull_run(const struct pull *p, struct store_model *out, struct lathe_err *err);
#endif
