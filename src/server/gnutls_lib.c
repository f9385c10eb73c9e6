/* GnuTLS, loaded on use. */
#include "server/gnutls_lib.h"
#include <dlfcn.h>

#define LIBRARY "libgnutls.so.30"

struct gnutls_lib gnutls;

static const struct {
    const char *name;
    void **to;
} functions[] = {
#define F(name) {"gnutls_" #name, (void **)&gnutls.name},
    GNUTLS_FUNCTIONS(F)
#undef F
};

int gnutls_lib_load(struct lathe_err *err)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return err_set(err, LATHE_E_UNSUPPORTED, "keys and TLS need %s (package libgnutls30): %s", LIBRARY,
                       dlerror());
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        *functions[i].to = dlsym(library, functions[i].name);
        if (!*functions[i].to)
            return err_set(err, LATHE_E_UNSUPPORTED, "%s has no %s: it is too old", LIBRARY,
                           functions[i].name);
    }
    return 0;
}
