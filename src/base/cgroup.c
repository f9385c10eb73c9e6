/* The cgroups that this process is in, of both versions, and what they allow. */
#include "base/cgroup.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4500 };

/* Whether `word` is one of the words between commas. */
static bool listed(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = words; *p; p += strcspn(p, ","), p += *p == ',')
        if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == 0))
            return true;
    return false;
}

/* From the group up to the root of its hierarchy. */
static void climb(const char *top, char *group, int version,
                  void (*visit)(void *user, int version, const char *folder), void *user)
{
    char folder[2 * PATH_BYTES];
    for (;;) {
        snprintf(folder, sizeof folder, "%s%s", top, group);
        visit(user, version, folder);
        char *slash = strrchr(group, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

void cgroup_each(const char *root, const char *controller,
                 void (*visit)(void *user, int version, const char *folder), void *user)
{
    char line[4096], path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) { /* hierarchy:controllers:/group */
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *controllers++ = *group++ = 0;
        int version = *controllers ? 1 : 2;
        if (version == 1 && !listed(controllers, controller))
            continue;
        snprintf(path, sizeof path, "%s/sys/fs/cgroup%s%s", root, version == 1 ? "/" : "",
                 version == 1 ? controller : "");
        if (strcmp(group, "/") == 0)
            *group = 0;
        climb(path, group, version, visit, user);
    }
    if (f)
        fclose(f);
}

bool cgroup_number(const char *folder, const char *file, const char *name, uint64_t *out)
{
    char line[512], path[3 * PATH_BYTES];
    unsigned long long v;
    bool found = false;
    snprintf(path, sizeof path, "%s/%s", folder, file);
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

/* Quota and period of a group; false without a quota, which reads "max" or -1. */
static bool quota_of(int version, const char *folder, long long *quota, long long *period)
{
    static const char *const files[] = {"cpu.cfs_quota_us", "cpu.cfs_period_us"};
    char path[3 * PATH_BYTES];
    long long *const to[] = {quota, period};
    int n = 0, n_file = version == 2 ? 1 : 2;
    for (int i = 0; i < n_file; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, version == 2 ? "cpu.max" : files[i]);
        FILE *f = fopen(path, "re");
        if (!f)
            return false;
        n += version == 2 ? fscanf(f, "%lld %lld", quota, period) : fscanf(f, "%lld", to[i]);
        fclose(f);
    }
    return n == 2 && *quota > 0 && *period > 0;
}

static void least_quota(void *user, int version, const char *folder)
{
    int *least = user;
    long long quota = 0, period = 0;
    if (!quota_of(version, folder, &quota, &period))
        return;
    long long n = quota / period + (quota % period != 0);
    if (n < INT_MAX && (*least == 0 || n < *least))
        *least = (int)n;
}

int cgroup_cpus(const char *root)
{
    int least = 0;
    cgroup_each(root, "cpu", least_quota, &least);
    return least;
}
