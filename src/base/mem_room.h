/* How much memory this process has, and may still take. */
#ifndef LATHE_BASE_MEM_ROOM_H
#define LATHE_BASE_MEM_ROOM_H
#include <stdbool.h>
#include <stdint.h>

/* Bytes: what the machine has available, bounded by the limits of the process's cgroups (v2 and v1). The page cache
 * counts as available, as it does for the kernel. `root` is "" for the machine itself, a folder in tests. UINT64_MAX if
 * nothing tells. */
uint64_t mem_room(const char *root);
/* Bytes of the process that are in memory now, mapped files included; 0 if the system does not tell. */
uint64_t mem_resident(void);
/* Of those the ones that no file backs: the system can only take them back by ending the process. */
uint64_t mem_anonymous(void);
/* Whether memory that is asked for huge pages may get them. */
bool mem_huge_pages(void);
#endif
