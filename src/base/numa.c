/* NUMA: the machine, the plan, pinning and placing. */
#include "base/numa.h"
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/hwloc_load.h"

/* ---- what there is ---- */

#ifdef LATHE_HAVE_HWLOC
/* Whether it is worth asking: the kernel lists several nodes, or hwloc is told of another machine. */
static bool several_nodes(void)
{
    char line[64] = "0";
    if (getenv("HWLOC_SYNTHETIC") || getenv("HWLOC_XMLFILE") || getenv("HWLOC_FSROOT"))
        return true;
    FILE *f = fopen("/sys/devices/system/node/online", "re");
    if (!f)
        return false;
    bool read = fgets(line, sizeof line, f);
    fclose(f);
    return read && strpbrk(line, ",-");
}

static void add_core(const struct hwloc *h, hwloc_const_cpuset_t core, const cpu_set_t *may, int node,
                     struct numa_topology *t)
{
    int sibling = 0;
    for (int cpu = h->bitmap_next(core, -1); cpu >= 0; cpu = h->bitmap_next(core, cpu)) {
        bool usable = !t->is_here || (cpu < CPU_SETSIZE && CPU_ISSET(cpu, may));
        if (usable && t->n_cpu < NUMA_MAX_CPU)
            t->cpu[t->n_cpu++] = (struct numa_cpu){cpu, node, sibling++};
    }
}

static int by_sibling(const void *a, const void *b)
{
    const struct numa_cpu *x = a, *y = b;
    return x->sibling != y->sibling ? x->sibling - y->sibling : x->cpu - y->cpu;
}

/* Adds a node with the processors of its cores that may be used, unless it has none. */
static void add_node(const struct hwloc *h, hwloc_obj_t node, const cpu_set_t *may, struct numa_topology *t)
{
    int before = t->n_cpu, n_core = hwloc_count(h, HWLOC_OBJ_CORE);
    if (t->n_node == NUMA_MAX_NODE || !node->cpuset)
        return;
    for (int i = 0; i < n_core; i++) {
        hwloc_obj_t core = hwloc_object(h, HWLOC_OBJ_CORE, i);
        int first = h->bitmap_next(core->cpuset, -1);
        if (first >= 0 && h->bitmap_isset(node->cpuset, (unsigned)first))
            add_core(h, core->cpuset, may, t->n_node, t);
    }
    for (int i = 0; n_core == 0 && i < hwloc_count(h, HWLOC_OBJ_PU); i++) {
        hwloc_obj_t pu = hwloc_object(h, HWLOC_OBJ_PU, i);
        if (h->bitmap_isset(node->cpuset, (unsigned)h->bitmap_next(pu->cpuset, -1)))
            add_core(h, pu->cpuset, may, t->n_node, t);
    }
    if (t->n_cpu == before)
        return;
    qsort(t->cpu + before, (size_t)(t->n_cpu - before), sizeof *t->cpu, by_sibling);
    t->node[t->n_node++] = (int)node->os_index;
}

static void read_nodes(struct numa_topology *t)
{
    struct hwloc h;
    char why[128];
    cpu_set_t may;
    if (several_nodes() && hwloc_open(&h, why, sizeof why)) {
        t->is_here = h.topology_is_thissystem(h.topology) && sched_getaffinity(0, sizeof may, &may) == 0;
        for (int i = 0; i < hwloc_count(&h, HWLOC_OBJ_NUMANODE); i++)
            add_node(&h, hwloc_object(&h, HWLOC_OBJ_NUMANODE, i), &may, t);
        hwloc_close(&h);
    }
}
#else
static void read_nodes(struct numa_topology *t)
{
}
#endif

void numa_topology(struct numa_topology *out)
{
    memset(out, 0, sizeof *out);
    read_nodes(out);
    if (out->n_node == 0)
        out->n_node = 1;
}

/* ---- the plan ---- */

void numa_plan(const struct numa_topology *t, int n_worker, struct numa_plan *out)
{
    int n_all = 0, n_core = 0, begin = 0, before = 0;
    *out = (struct numa_plan){.is_here = t->is_here, .n_node = t->n_node, .n_worker = n_worker};
    memcpy(out->node, t->node, sizeof out->node);
    for (int i = 0; i < n_worker; i++)
        out->worker[i].cpu = -1;
    if (t->n_node < 2)
        return;
    for (int i = 0; i < t->n_cpu; i++)
        n_core += t->cpu[i].sibling == 0;
    bool cores = n_worker <= n_core; /* then the second processors of cores stay idle */
    n_all = cores ? n_core : t->n_cpu;
    for (int node = 0, first = 0, end; node < t->n_node; node++, first = end) {
        int n_here = 0;
        for (end = first; end < t->n_cpu && t->cpu[end].node == node; end++)
            n_here += !cores || t->cpu[end].sibling == 0;
        before += n_here;
        int next = (int)((int64_t)n_worker * before / n_all);
        for (int w = begin; w < next; w++) {
            out->worker[w].cpu = t->cpu[first + (w - begin) % n_here].cpu;
            out->worker[w].node = node;
        }
        begin = next;
    }
}

int numa_node_of(const struct numa_plan *p, int i, int n)
{
    return p->n_worker && n ? p->worker[(2 * (int64_t)i + 1) * p->n_worker / (2 * (int64_t)n)].node : 0;
}

void numa_text(const struct numa_plan *p, char *out, size_t n)
{
    size_t at = 0;
    out[0] = 0;
    for (int node = 0, w = 0; p->n_node > 1 && node < p->n_node && at < n; node++) {
        int first = w;
        while (w < p->n_worker && p->worker[w].node == node)
            w++;
        int k = w == first
                    ? snprintf(out + at, n - at, "%snode %d no worker", node ? ", " : "", p->node[node])
                    : snprintf(out + at, n - at, "%snode %d workers %d-%d on cpus %d-%d", node ? ", " : "",
                               p->node[node], first, w - 1, p->worker[first].cpu, p->worker[w - 1].cpu);
        at += k > 0 ? (size_t)k : 0;
    }
}

/* ---- doing it ---- */

void numa_pin(const struct numa_plan *p, int i, pthread_t thread)
{
    cpu_set_t set;
    if (!p->is_here || p->n_node < 2 || i >= p->n_worker || p->worker[i].cpu < 0 ||
        p->worker[i].cpu >= CPU_SETSIZE)
        return;
    CPU_ZERO(&set);
    CPU_SET(p->worker[i].cpu, &set);
    pthread_setaffinity_np(thread, sizeof set, &set); /* refused: it runs where it did */
}

/* Only whole pages. A refusal leaves the memory where the first touch puts it. */
static void set_policy(const struct numa_plan *p, void *at, size_t n_bytes, int mode, const uint64_t *nodes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)at + page - 1) & ~(page - 1),
              to = ((uintptr_t)at + n_bytes) & ~(page - 1);
    if (p->is_here && p->n_node > 1 && from < to)
        syscall(SYS_mbind, from, to - from, mode, nodes, (unsigned long)NUMA_MAX_CPU, 0);
}

void numa_interleave(const struct numa_plan *p, void *at, size_t n_bytes)
{
    uint64_t nodes[NUMA_MAX_CPU / 64] = {0};
    for (int i = 0; i < p->n_node; i++)
        nodes[p->node[i] / 64 % (NUMA_MAX_CPU / 64)] |= 1ull << p->node[i] % 64;
    set_policy(p, at, n_bytes, MPOL_INTERLEAVE, nodes);
}

void numa_spread(void *at, size_t n_bytes)
{
    struct numa_topology t;
    struct numa_plan p;
    numa_topology(&t);
    numa_plan(&t, 1, &p);
    numa_interleave(&p, at, n_bytes);
}

void numa_place(const struct numa_plan *p, void *at, size_t n_bytes, int node)
{
    uint64_t nodes[NUMA_MAX_CPU / 64] = {0};
    nodes[p->node[node] / 64 % (NUMA_MAX_CPU / 64)] |= 1ull << p->node[node] % 64;
    set_policy(p, at, n_bytes, MPOL_PREFERRED, nodes);
}
