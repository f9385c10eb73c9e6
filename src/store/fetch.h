/* Getting something over HTTP: into memory, or into a file that goes on where it was left. */
#ifndef LATHE_STORE_FETCH_H
#define LATHE_STORE_FETCH_H
#include <stdbool.h>
#include <stdint.h>
#include "base/mem.h"

struct fetch {
    const char *token;  /* sent to that origin and no other; NULL: none */
    const char *origin; /* "https://huggingface.co" */
    int n_retry;        /* after a failure that may pass, each time later */
    void (*progress)(void *user, const char *what, double share); /* may be NULL */
    void (*note)(void *user, const char *line);                   /* what happens on the way; may be NULL */
    void *user;
};

/* The body of a URL, at most `out`'s limit. next[2048] becomes the URL of the next page, or "". */
int fetch_text(const struct fetch *f, const char *url, struct buf *out, char *next, struct lathe_err *err);

struct fetch_file {
    const char *url, *what; /* what: for messages */
    const char *part;       /* the file to write; what is there already is gone on from */
    uint64_t size;          /* that it must have; 0: unknown */
    bool checked;           /* its digest will be, so that going on needs no entity tag */
};

/* Writes the file and flushes it to the disk. The part stays when it fails, for the next time. */
int fetch_file(const struct fetch *f, const struct fetch_file *file, struct lathe_err *err);
#endif
