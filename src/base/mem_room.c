/* How much memory this process has, and may still take. */
#include "base/mem_room.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <lathe.h>
#include "base/cgroup.h"

/* What a version of cgroups calls its files and fields. */
static const struct names {
    const char *limit, *soft, *used, *inactive, *active; /* soft: past it the group is slowed down */
} V1 = {"memory.limit_in_bytes", NULL, "memory.usage_in_bytes", "total_inactive_file ", "total_active_file "},
  V2 = {"memory.max", "memory.high", "memory.current", "inactive_file ", "active_file "};

/* Of one cgroup: its limit less what it uses, its page cache not counted. */
static void least_room(void *user, int version, const char *folder)
{
    const struct names *c = version == 2 ? &V2 : &V1;
    uint64_t *least = user, limit = UINT64_MAX, soft, used, cache, pages = 0;
    cgroup_number(folder, c->limit, "", &limit);
    if (c->soft && cgroup_number(folder, c->soft, "", &soft) && soft < limit)
        limit = soft;
    if (limit == UINT64_MAX || !cgroup_number(folder, c->used, "", &used))
        return;
    if (cgroup_number(folder, "memory.stat", c->inactive, &cache))
        pages += cache;
    if (cgroup_number(folder, "memory.stat", c->active, &cache))
        pages += cache;
    used = used > pages ? used - pages : 0;
    uint64_t room = limit > used ? limit - used : 0;
    *least = room < *least ? room : *least;
}

uint64_t mem_room(const char *root)
{
    char folder[4500];
    uint64_t least = UINT64_MAX, kib;
    snprintf(folder, sizeof folder, "%s/proc", root);
    if (cgroup_number(folder, "meminfo", "MemAvailable:", &kib))
        least = kib * 1024;
    cgroup_each(root, "memory", least_room, &least);
    return least;
}

static void read_statm(uint64_t *resident, uint64_t *shared)
{
    unsigned long long size, r = 0, s = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%llu %llu %llu", &size, &r, &s) != 3)
        r = s = 0;
    if (f)
        fclose(f);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *resident = r * page;
    *shared = s * page;
}

uint64_t mem_resident(void)
{
    uint64_t resident, shared;
    read_statm(&resident, &shared);
    return resident;
}

uint64_t mem_anonymous(void)
{
    uint64_t resident, shared;
    read_statm(&resident, &shared);
    return resident - shared;
}

uint64_t lathe_memory_room(void)
{
    uint64_t room = mem_room(""), have = mem_anonymous(); /* of files is in the room already */
    return room > UINT64_MAX - have ? UINT64_MAX : room + have;
}

bool mem_huge_pages(void)
{
    char line[128] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
    if (!f)
        return false;
    bool read = fgets(line, sizeof line, f);
    fclose(f);
    return read && !strstr(line, "[never]");
}
