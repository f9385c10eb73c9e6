/* GnuTLS, loaded on use. */
#include "server/gnutls_lib.h"
#include "base/library.h"

struct gnutls_lib gnutls;

static const struct library_call calls[] = {
#define F(name) {"gnutls_" #name, (void **)&gnutls.name},
    GNUTLS_FUNCTIONS(F)
#undef F
};
static const struct library library = {.file = "libgnutls.so.30",
                                       .package = "libgnutls30",
                                       .wanted = "keys and TLS need",
                                       .calls = calls,
                                       .n_call = sizeof calls / sizeof *calls};

int gnutls_lib_load(struct lathe_err *err)
{
    return library_load(&library, err);
}
