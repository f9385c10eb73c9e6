/* Errors: a code for programs and one line of words for people. See LATHE_ERRORS in lathe.h for the list. */
#ifndef LATHE_BASE_ERR_H
#define LATHE_BASE_ERR_H
#include <lathe.h>

/* Fills `err` (if not NULL) with the code and the formatted line, cut at its size; returns `code`. Control
 * characters of the arguments are written as '?': they may come from a hostile file. */
int err_set(struct lathe_err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* UNSUPPORTED: what this build lacks ("has no server"), and what gives it: packages, or for the edge build the program that is
 * built with them. */
int err_not_built(struct lathe_err *err, const char *what, const char *packages);

/* Forwards a failure to the caller; the first cause stays in its lathe_err. */
#define TRY(call)             \
    do {                      \
        int try_rc_ = (call); \
        if (try_rc_)          \
            return try_rc_;   \
    } while (0)

/* The same in a function with one `done:` label and an `int rc`. */
#define TRY_GOTO(call) \
    do {               \
        rc = (call);   \
        if (rc)        \
            goto done; \
    } while (0)
#endif
