/* Digests of files as hubs publish them: "sha256:HEX", or "git:HEX" (SHA-1 of a Git blob) for what is kept in Git itself. */
#ifndef LATHE_STORE_DIGEST_H
#define LATHE_STORE_DIGEST_H
#include <stdbool.h>
#include "base/err.h"

enum { DIGEST_CHARS = 7 + 64 + 1 };

/* Whether text is a digest that can be checked; SHA-256 may come without its prefix, which `out` then has. */
bool digest_read(const char *text, char out[DIGEST_CHARS]);
/* The digest of a file, of the kind that `like` is, SHA-256 if it is empty. `progress` may be NULL. */
int digest_file(const char *path, const char *like, char out[DIGEST_CHARS],
                void (*progress)(void *user, const char *what, double share), void *user,
                struct lathe_err *err);
#endif
