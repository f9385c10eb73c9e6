/* Cores, caches and NUMA nodes.
 *
 * What is inside the machine comes from hwloc, if that is there (base/hwloc_load.h).
 * Without it the cores, the memory and the CPU's name and flags are known, and `unknown` says why the rest is not.
 * Offline processors are not counted anywhere; those that a cpuset forbids are, for they are part of the
 * machine: what this process may use is cpu_count()'s to say. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/cpu.h"
#include "base/hwloc_load.h"
#include "measure/machine.h"

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

#ifdef LATHE_HAVE_HWLOC
static void read_cores(const struct hwloc *h, struct machine_topology *t)
{
    int n_core = hwloc_count(h, HWLOC_OBJ_CORE), n_package = hwloc_count(h, HWLOC_OBJ_PACKAGE);
    t->n_core = hwloc_count(h, HWLOC_OBJ_PU);
    t->n_package = n_package > 0 ? n_package : 1; /* some kernels tell of none */
    t->threads_per_core = 1;
    for (int i = 0; i < n_core; i++) {
        int n = h->bitmap_weight(hwloc_object(h, HWLOC_OBJ_CORE, i)->cpuset);
        t->threads_per_core = n > t->threads_per_core ? n : t->threads_per_core;
    }
}

/* Adds one cache to the list of kinds. */
static void add_cache(struct machine_topology *t, const struct hwloc_cache_attr_s *cache, int n_sharing)
{
    const char *type = cache->type == HWLOC_OBJ_CACHE_DATA          ? "Data"
                       : cache->type == HWLOC_OBJ_CACHE_INSTRUCTION ? "Instruction"
                                                                    : "Unified";
    int level = (int)cache->depth, i = 0;
    long bytes = (long)cache->size;
    if (bytes <= 0) /* the kernel does not tell */
        return;
    while (i < t->n_cache &&
           (t->cache[i].level != level || strcmp(t->cache[i].type, type) != 0 || t->cache[i].bytes != bytes))
        i++;
    if (i == MACHINE_MAX_CACHE)
        return;
    struct machine_cache *kind = &t->cache[i];
    if (i == t->n_cache) {
        t->n_cache++;
        kind->level = level;
        kind->bytes = bytes;
        snprintf(kind->type, sizeof kind->type, "%s", type);
    }
    kind->n_instance++;
    kind->n_sharing = n_sharing > kind->n_sharing ? n_sharing : kind->n_sharing;
}

static void read_caches(const struct hwloc *h, struct machine_topology *t)
{
    static const hwloc_obj_type_t types[] = {HWLOC_OBJ_L1CACHE,  HWLOC_OBJ_L1ICACHE, HWLOC_OBJ_L2CACHE,
                                             HWLOC_OBJ_L2ICACHE, HWLOC_OBJ_L3CACHE,  HWLOC_OBJ_L3ICACHE,
                                             HWLOC_OBJ_L4CACHE,  HWLOC_OBJ_L5CACHE};
    for (size_t k = 0; k < sizeof types / sizeof *types; k++)
        for (int i = 0, n = hwloc_count(h, types[k]); i < n; i++) {
            hwloc_obj_t o = hwloc_object(h, types[k], i);
            add_cache(t, &o->attr->cache, h->bitmap_weight(o->cpuset));
        }
}

static void list_cpus(const struct hwloc *h, hwloc_const_cpuset_t cpus, char *out, int n)
{
    static const char more[] = ",...";
    int room = n - (int)strlen(more);
    if (h->bitmap_list_snprintf(out, (size_t)room, cpus) < room)
        return;
    char *end = strrchr(out, ','); /* not in the middle of a number */
    if (end)
        memcpy(end, more, sizeof more);
}

static void read_nodes(const struct hwloc *h, struct machine_topology *t)
{
    int n = hwloc_count(h, HWLOC_OBJ_NUMANODE);
    t->n_node = n < MACHINE_MAX_NODE ? n : MACHINE_MAX_NODE;
    for (int i = 0; i < t->n_node; i++) {
        hwloc_obj_t o = hwloc_object(h, HWLOC_OBJ_NUMANODE, i);
        list_cpus(h, o->cpuset, t->node_cpus[i], sizeof t->node_cpus[i]);
        t->node_mib[i] = (long)(o->attr->numanode.local_memory / 1048576);
    }
}

static void read_inside(struct machine_topology *t)
{
    struct hwloc h;
    if (hwloc_open(&h, t->unknown, sizeof t->unknown)) {
        read_cores(&h, t);
        read_caches(&h, t);
        read_nodes(&h, t);
    }
    hwloc_close(&h);
}
#else
static void read_inside(struct machine_topology *t)
{
    snprintf(t->unknown, sizeof t->unknown, "this build is without hwloc: package libhwloc-dev");
}
#endif

void machine_topology(struct machine_topology *t)
{
    memset(t, 0, sizeof *t);
    t->n_core = (int)sysconf(_SC_NPROCESSORS_ONLN);
    t->n_usable = cpu_count();
    t->memory_mib = (long)((double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / 1048576.0);
    read_cpuinfo(t);
    read_inside(t);
}
