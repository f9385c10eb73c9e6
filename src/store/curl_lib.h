/* The HTTP client library, loaded when something is to be got: linked, it and its libraries would cost every start of the
 * program 5 ms. Functions are called as curl.easy_perform(...). */
#ifndef LATHE_STORE_CURL_LIB_H
#define LATHE_STORE_CURL_LIB_H
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include "base/err.h"

#define CURL_FUNCTIONS(F) \
    F(easy_cleanup)       \
    F(easy_getinfo)       \
    F(easy_init)          \
    F(easy_perform)       \
    F(easy_reset)         \
    F(easy_setopt)        \
    F(easy_strerror)      \
    F(global_init)        \
    F(slist_append)       \
    F(slist_free_all)

struct curl_lib {
#define F(name) __typeof__(curl_##name) *name;
    CURL_FUNCTIONS(F)
#undef F
};
extern struct curl_lib curl;

/* UNSUPPORTED if the library is not there or lacks a function. */
int curl_lib_load(struct lathe_err *err);
#endif
