/* hwloc, loaded on use. */
#include "base/hwloc_load.h"
#ifdef LATHE_HAVE_HWLOC
#include <dlfcn.h>
#include <stdio.h>

#define HWLOC_SONAME "libhwloc.so.15"

static bool find_calls(struct hwloc *h, char *why, size_t n_why)
{
    h->library = dlopen(HWLOC_SONAME, RTLD_NOW | RTLD_LOCAL);
    if (!h->library) {
        snprintf(why, n_why, HWLOC_SONAME " cannot be loaded: package libhwloc15");
        return false;
    }
#define X(name)                                                                                      \
    h->name = (__typeof__(h->name))dlsym(h->library, "hwloc_" #name);                                \
    if (!h->name) {                                                                                  \
        snprintf(why, n_why,                                                                         \
                 HWLOC_SONAME " has no hwloc_" #name ": another package than libhwloc15 of 2.1 on"); \
        return false;                                                                                \
    }
    HWLOC_CALLS(X)
#undef X
    return true;
}

bool hwloc_open(struct hwloc *h, char *why, size_t n_why)
{
    *h = (struct hwloc){0};
    if (!find_calls(h, why, n_why))
        return false;
    if (h->topology_init(&h->topology) == 0 &&
        h->topology_set_flags(h->topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) == 0 &&
        h->topology_set_icache_types_filter(h->topology, HWLOC_TYPE_FILTER_KEEP_ALL) == 0 &&
        h->topology_load(h->topology) == 0)
        return true;
    snprintf(why, n_why, "hwloc cannot read this machine");
    return false;
}

void hwloc_close(struct hwloc *h)
{
    if (h->topology)
        h->topology_destroy(h->topology);
    if (h->library)
        dlclose(h->library);
    *h = (struct hwloc){0};
}

int hwloc_count(const struct hwloc *h, hwloc_obj_type_t type)
{
    return (int)h->get_nbobjs_by_depth(h->topology, h->get_type_depth(h->topology, type));
}

hwloc_obj_t hwloc_object(const struct hwloc *h, hwloc_obj_type_t type, int i)
{
    return h->get_obj_by_depth(h->topology, h->get_type_depth(h->topology, type), (unsigned)i);
}
#endif
