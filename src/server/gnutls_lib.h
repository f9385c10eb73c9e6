/* GnuTLS, which the HTTP library brings along: loaded with it or when a key is made. Functions are called as
 * gnutls.hash_fast(...). */
#ifndef LATHE_SERVER_GNUTLS_LIB_H
#define LATHE_SERVER_GNUTLS_LIB_H
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include "base/err.h"

#define GNUTLS_FUNCTIONS(F)       \
    F(hash_fast)                  \
    F(pcert_deinit)               \
    F(pcert_list_import_x509_raw) \
    F(privkey_deinit)             \
    F(privkey_import_x509_raw)    \
    F(privkey_init)               \
    F(pubkey_deinit)              \
    F(pubkey_get_key_id)          \
    F(pubkey_import_privkey)      \
    F(pubkey_init)                \
    F(strerror)

struct gnutls_lib {
#define F(name) __typeof__(gnutls_##name) *name;
    GNUTLS_FUNCTIONS(F)
#undef F
};
extern struct gnutls_lib gnutls;

/* UNSUPPORTED if the library is not there or lacks a function. */
int gnutls_lib_load(struct lathe_err *err);
#endif
