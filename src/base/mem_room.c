/* How much memory this process may still take. */
#include "base/mem_room.h"
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4500 };

/* The number behind `name` at the start of a line of the file, or its first number for "". False if there is none:
 * no such file, no such line, or a word such as "max". */
static bool number(const char *path, const char *name, uint64_t *out)
{
    char line[512];
    unsigned long long v;
    bool found = false;
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    while (!found && fgets(line, sizeof line, f))
        found = strncmp(line, name, strlen(name)) == 0 && sscanf(line + strlen(name), "%llu", &v) == 1;
    fclose(f);
    if (found)
        *out = v;
    return found;
}

/* What a version of cgroups calls its files and fields. */
struct cgroup_names {
    const char *folder, *limit, *used, *inactive, *active;
};
static const struct cgroup_names V2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file ",
                                       "active_file "},
                                 V1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                       "memory.usage_in_bytes", "total_inactive_file ", "total_active_file "};

/* Of one cgroup: its limit less what it uses, its page cache not counted. */
static uint64_t group_room(const char *root, const struct cgroup_names *c, const char *group)
{
    char path[PATH_BYTES];
    uint64_t limit, used, cache, pages = 0;
    snprintf(path, sizeof path, "%s%s%s/%s", root, c->folder, group, c->limit);
    if (!number(path, "", &limit))
        return UINT64_MAX;
    snprintf(path, sizeof path, "%s%s%s/%s", root, c->folder, group, c->used);
    if (!number(path, "", &used))
        return UINT64_MAX;
    snprintf(path, sizeof path, "%s%s%s/memory.stat", root, c->folder, group);
    if (number(path, c->inactive, &cache))
        pages += cache;
    if (number(path, c->active, &cache))
        pages += cache;
    used = used > pages ? used - pages : 0;
    return limit > used ? limit - used : 0;
}

/* Of the group and all above it. Inside of a container its own group is the root, and the path leads nowhere. */
static uint64_t path_room(const char *root, const struct cgroup_names *c, char *group)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        uint64_t room = group_room(root, c, group);
        least = room < least ? room : least;
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = 0;
    }
}

uint64_t mem_room(const char *root)
{
    char line[4096], path[PATH_BYTES];
    uint64_t least = UINT64_MAX, kib;
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    if (number(path, "MemAvailable:", &kib))
        least = kib * 1024;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) { /* hierarchy:controllers:/group */
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        bool v2 = controllers[1] == 0;
        if (!v2 && !strstr(controllers, "memory"))
            continue;
        uint64_t room = path_room(root, v2 ? &V2 : &V1, group);
        least = room < least ? room : least;
    }
    if (f)
        fclose(f);
    return least;
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
