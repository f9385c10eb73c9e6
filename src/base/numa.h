/* Where workers run and memory lies on a machine of several NUMA nodes: what there is, the plan, and doing it.
 *
 * Workers are pinned, neighbours in number to the same node, in proportion to its cores. Weights are read by all, so their
 * pages alternate between the nodes. What belongs to the i-th of n equal shares of the work lies at the worker that gets
 * that share. With one node there is nothing to do, and nothing is done. */
#ifndef LATHE_BASE_NUMA_H
#define LATHE_BASE_NUMA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include "base/pool.h"

enum { NUMA_MAX_NODE = 64, NUMA_MAX_CPU = 1024 };

struct numa_cpu {
    int cpu, node; /* number of the processor; index into `node` */
    int sibling;   /* 0: the first of its core that may be used, 1: the second ... */
};

struct numa_topology {
    bool is_here; /* false: described to hwloc, for trials: nothing is pinned or moved */
    int n_node;   /* those with processors that this process may use */
    int node[NUMA_MAX_NODE];
    int n_cpu;
    struct numa_cpu cpu[NUMA_MAX_CPU]; /* by node, in it first processors of cores before second ones */
};

struct numa_plan {
    bool is_here;
    int n_node;
    int node[NUMA_MAX_NODE]; /* numbers of the nodes, which weights alternate between */
    int n_worker;
    struct {
        int cpu, node; /* cpu -1: not pinned */
    } worker[POOL_MAX_WORKER];
};

/* This machine as hwloc tells it. Without hwloc, and where the system knows of one node (hwloc is not loaded then), one
 * node and no processors. */
void numa_topology(struct numa_topology *out);
/* Depends on nothing else. */
void numa_plan(const struct numa_topology *t, int n_worker, struct numa_plan *out);
/* Node (index into plan->node) of share i of n. */
int numa_node_of(const struct numa_plan *p, int i, int n);

/* Pins a thread to worker i's processor. */
void numa_pin(const struct numa_plan *p, int i, pthread_t thread);
/* For memory that nobody has touched yet, page-aligned: its pages alternate between the nodes, or lie on one (index), if that
 * has room. The parts of pages at the ends are left alone. */
void numa_interleave(const struct numa_plan *p, void *at, size_t n_bytes);
void numa_place(const struct numa_plan *p, void *at, size_t n_bytes, int node);
/* What all read: alternates between the nodes of this machine. */
void numa_spread(void *at, size_t n_bytes);
/* One line on the plan for people; "" with one node. */
void numa_text(const struct numa_plan *p, char *out, size_t n);
#endif
