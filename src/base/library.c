/* Libraries that are loaded on use. */
#include "base/library.h"
#ifndef LATHE_EDGE
#include <dlfcn.h>
#endif

#ifdef LATHE_EDGE
int library_load(const struct library *l, struct lathe_err *err)
{
    return err_set(err, LATHE_E_UNSUPPORTED,
                   "%s %s, and this is the edge build, which is static and loads no library", l->wanted,
                   l->file);
}
#else
int library_load(const struct library *l, struct lathe_err *err)
{
    void *library = dlopen(l->file, RTLD_NOW | RTLD_LOCAL); /* stays: its threads may outlive a call */
    if (!library)
        return err_set(err, LATHE_E_UNSUPPORTED, "%s %s (package %s): %s", l->wanted, l->file, l->package,
                       dlerror());
    for (size_t i = 0; i < l->n_call; i++) {
        *l->calls[i].to = dlsym(library, l->calls[i].name);
        if (!*l->calls[i].to)
            return err_set(err, LATHE_E_UNSUPPORTED, "%s has no %s: it is too old", l->file,
                           l->calls[i].name);
    }
    return 0;
}
#endif
