/* The HTTP library, loaded when a server starts. */
#include "server/mhd.h"
#include <dlfcn.h>

#define LIBRARY "libmicrohttpd.so.12"

struct mhd mhd;

static const struct {
    const char *name;
    void **to;
} functions[] = {
#define F(name) {"MHD_" #name, (void **)&mhd.name},
    MHD_FUNCTIONS(F)
#undef F
};

int mhd_load(struct lathe_err *err)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL); /* stays: its threads may outlive a call */
    if (!library)
        return err_set(err, LATHE_E_UNSUPPORTED, "the server needs %s (package libmicrohttpd12): %s", LIBRARY,
                       dlerror());
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        *functions[i].to = dlsym(library, functions[i].name);
        if (!*functions[i].to)
            return err_set(err, LATHE_E_UNSUPPORTED, "%s has no %s: it is too old", LIBRARY,
                           functions[i].name);
    }
    return 0;
}
