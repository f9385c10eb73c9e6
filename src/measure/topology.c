/* Cores, caches and NUMA nodes, read from /proc and /sys. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/cpu.h"
#include "measure/machine.h"

/* First line of a small file without its newline; false if it cannot be read. */
static bool read_line(const char *path, char *out, size_t n)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    bool ok = fgets(out, (int)n, f) != NULL;
    fclose(f);
    if (ok)
        out[strcspn(out, "\n")] = 0;
    return ok;
}

/* Number of processors in a list such as "0-3,8". */
static int count_list(const char *list)
{
    int n = 0;
    for (const char *p = list; *p;) {
        char *end;
        long a = strtol(p, &end, 10), b = a;
        if (end == p)
            break;
        if (*end == '-')
            b = strtol(end + 1, &end, 10);
        n += (int)(b - a + 1);
        p = *end == ',' ? end + 1 : end;
    }
    return n;
}

static bool word_in(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = words; (p = strstr(p, word)); p += n)
        if ((p == words || p[-1] == ' ' || p[-1] == '\t') && (p[n] == ' ' || p[n] == '\n' || p[n] == 0))
            return true;
    return false;
}

static void read_cpuinfo(struct machine_topology *t)
{
    static const char *const known[] = {"sse4_2",      "avx",         "avx2",        "fma",      "f16c",
                                        "avx_vnni",    "avx512f",     "avx512bw",    "avx512vl", "avx512dq",
                                        "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8",
                                        "amx_bf16",    "asimd",       "asimddp",     "i8mm",     "bf16",
                                        "sve",         "sve2",        "asimdhp"};
    static char line[16384];
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (!value)
            continue;
        value += 1 + (value[1] == ' ');
        if (!t->cpu[0] && (strncmp(line, "model name", 10) == 0 || strncmp(line, "CPU part", 8) == 0))
            snprintf(t->cpu, sizeof t->cpu, "%.*s", (int)strcspn(value, "\n"), value);
        if (!t->flags[0] && (strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0))
            for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                if (word_in(value, known[i])) {
                    size_t n = strlen(t->flags);
                    snprintf(t->flags + n, sizeof t->flags - n, "%s%s", n ? " " : "", known[i]);
                }
    }
    fclose(f);
}

/* Adds one cache of one core to the list of kinds. `seen` avoids counting an instance once per sharing core.
 */
static void add_cache(struct machine_topology *t, int core, int index)
{
    char path[128], level[16], type[16], size[32], shared[256];
    const char *dir = "/sys/devices/system/cpu/cpu%d/cache/index%d/%s";
    snprintf(path, sizeof path, dir, core, index, "level");
    if (!read_line(path, level, sizeof level))
        return;
    snprintf(path, sizeof path, dir, core, index, "type");
    if (!read_line(path, type, sizeof type))
        return;
    snprintf(path, sizeof path, dir, core, index, "size");
    if (!read_line(path, size, sizeof size))
        return;
    snprintf(path, sizeof path, dir, core, index, "shared_cpu_list");
    if (!read_line(path, shared, sizeof shared) || atoi(shared) != core)
        return; /* an instance belongs to the first core of its list */
    long bytes = atol(size) * (strchr(size, 'M') ? 1048576 : 1024);
    int i = 0;
    while (i < t->n_cache && (t->cache[i].level != atoi(level) || strcmp(t->cache[i].type, type) != 0 ||
                              t->cache[i].bytes != bytes))
        i++;
    if (i == MACHINE_MAX_CACHE)
        return;
    if (i == t->n_cache) {
        t->cache[t->n_cache++] = (struct machine_cache){.level = atoi(level), .bytes = bytes};
        memcpy(t->cache[i].type, type, sizeof type);
    }
    t->cache[i].n_instance++;
    t->cache[i].n_sharing = count_list(shared);
}

static void read_cores(struct machine_topology *t)
{
    char path[128], line[256];
    int max_package = -1;
    t->threads_per_core = 1;
    for (int core = 0; core < 4096; core++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d", core);
        if (access(path, F_OK))
            break;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", core);
        if (read_line(path, line, sizeof line) && atoi(line) > max_package)
            max_package = atoi(line);
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", core);
        if (read_line(path, line, sizeof line) && count_list(line) > t->threads_per_core)
            t->threads_per_core = count_list(line);
        for (int index = 0; index < 8; index++)
            add_cache(t, core, index);
    }
    t->n_package = max_package + 1 > 0 ? max_package + 1 : 1;
}

static void read_nodes(struct machine_topology *t)
{
    char path[128], line[256];
    for (int node = 0; node < MACHINE_MAX_NODE; node++) {
        snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpulist", node);
        if (!read_line(path, line, sizeof line))
            continue;
        int i = t->n_node++;
        snprintf(t->node_cpus[i], sizeof t->node_cpus[i], "%.63s", line);
        snprintf(path, sizeof path, "/sys/devices/system/node/node%d/meminfo", node);
        FILE *f = fopen(path, "r");
        if (!f)
            continue;
        while (fgets(line, sizeof line, f)) {
            const char *total = strstr(line, "MemTotal:");
            if (total)
                t->node_mib[i] = atol(total + 9) / 1024;
        }
        fclose(f);
    }
}

void machine_topology(struct machine_topology *t)
{
    memset(t, 0, sizeof *t);
    t->n_core = (int)sysconf(_SC_NPROCESSORS_ONLN);
    t->n_usable = cpu_count();
    t->memory_mib = (long)((double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / 1048576.0);
    read_cpuinfo(t);
    read_cores(t);
    read_nodes(t);
}
