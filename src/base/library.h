/* Libraries that are loaded on use: linked, each would cost every start of the program its time. */
#ifndef LATHE_BASE_LIBRARY_H
#define LATHE_BASE_LIBRARY_H
#include <stddef.h>
#include "base/err.h"

struct library_call {
    const char *name; /* as the library has it */
    void **to;
};

struct library {
    const char *file, *package; /* "libx.so.1", and Debian's package of it */
    const char *wanted;         /* who needs it, as in "the server needs" */
    const struct library_call *calls;
    size_t n_call;
};

/* Loads it for good and finds all calls. UNSUPPORTED if it is not there or lacks one. */
int library_load(const struct library *l, struct lathe_err *err);
#endif
