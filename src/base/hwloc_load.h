/* hwloc, loaded on use: linked, it and its libraries would cost every start of the program. It is optional twice, at build
 * time (LATHE_HAVE_HWLOC) and when it is used. */
#ifndef LATHE_BASE_HWLOC_LOAD_H
#define LATHE_BASE_HWLOC_LOAD_H
#include <stdbool.h>
#include <stddef.h>
#ifdef LATHE_HAVE_HWLOC
#include <hwloc.h>
#if HWLOC_API_VERSION < 0x00020100 || HWLOC_API_VERSION >= 0x00030000
#error "hwloc.h is not of a version from 2.1 to below 3, whose library is libhwloc.so.15"
#endif

/* What is called of hwloc, with the types of its header. */
#define HWLOC_CALLS(X)                  \
    X(topology_init)                    \
    X(topology_set_flags)               \
    X(topology_set_icache_types_filter) \
    X(topology_load)                    \
    X(topology_is_thissystem)           \
    X(topology_destroy)                 \
    X(get_type_depth)                   \
    X(get_nbobjs_by_depth)              \
    X(get_obj_by_depth)                 \
    X(bitmap_weight)                    \
    X(bitmap_isset)                     \
    X(bitmap_next)                      \
    X(bitmap_list_snprintf)

struct hwloc {
    void *library;
#define X(name) __typeof__(&hwloc_##name) name;
    HWLOC_CALLS(X)
#undef X
    hwloc_topology_t topology;
};

/* Loads the library and reads the machine, forbidden processors included. False with the reason in `why`; close it in
 * any case. */
bool hwloc_open(struct hwloc *h, char *why, size_t n_why);
void hwloc_close(struct hwloc *h);
int hwloc_count(const struct hwloc *h, hwloc_obj_type_t type);
hwloc_obj_t hwloc_object(const struct hwloc *h, hwloc_obj_type_t type, int i);
#endif
#endif
