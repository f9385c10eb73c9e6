/* The plan of workers and nodes: a function of the topology, tried on machines that hwloc is told of. */
#include "unit.h"
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/numa.h"

static struct numa_topology topology;
static struct numa_plan plan;

/* The plan for a machine in hwloc's words; skips the case if there is no hwloc. */
static void of(const char *synthetic, int n_worker)
{
    setenv("HWLOC_SYNTHETIC", synthetic, 1);
    setenv("HWLOC_THISSYSTEM", "0", 1);
    numa_topology(&topology);
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_THISSYSTEM");
    if (topology.n_cpu == 0)
        skip();
    assert_false(topology.is_here);
    numa_plan(&topology, n_worker, &plan);
    assert_int_equal(plan.n_worker, n_worker);
}

static void text_is(const char *want)
{
    char text[512];
    numa_text(&plan, text, sizeof text);
    assert_string_equal(text, want);
}

/* No processor twice while there are enough, and workers of a node are neighbours. */
static void is_sound(void)
{
    for (int i = 0; i < plan.n_worker; i++) {
        assert_true(plan.worker[i].cpu >= 0);
        assert_true(i == 0 || plan.worker[i].node >= plan.worker[i - 1].node);
        for (int j = 0; j < i && plan.n_worker <= topology.n_cpu; j++)
            assert_int_not_equal(plan.worker[i].cpu, plan.worker[j].cpu);
    }
}

static void two_sockets(void **state)
{
    of("package:2 numanode:1 core:4 pu:2", 8);
    is_sound();
    assert_int_equal(topology.n_node, 2);
    assert_int_equal(topology.n_cpu, 16);
    static const int cpus[] = {0, 2, 4, 6, 8, 10, 12, 14}; /* one of each core */
    for (int i = 0; i < 8; i++) {
        assert_int_equal(plan.worker[i].cpu, cpus[i]);
        assert_int_equal(plan.worker[i].node, i / 4);
    }
    text_is("node 0 workers 0-3 on cpus 0-6, node 1 workers 4-7 on cpus 8-14");
    of("package:2 numanode:1 core:4 pu:2", 16); /* more than cores: the second processors too */
    is_sound();
    assert_int_equal(plan.worker[4].cpu, 1);
    assert_int_equal(plan.worker[7].node, 0);
    assert_int_equal(plan.worker[8].node, 1);
    of("package:2 numanode:1 core:4 pu:2", 3);
    is_sound();
    text_is("node 0 workers 0-0 on cpus 0-0, node 1 workers 1-2 on cpus 8-10");
    of("package:2 numanode:1 core:4 pu:2", 40); /* more than processors: some share one */
    is_sound();
    of("package:2 numanode:1 core:4 pu:2", 1);
    text_is("node 0 no worker, node 1 workers 0-0 on cpus 8-8");
}

static void one_node(void **state)
{
    of("package:1 core:8 pu:1", 8);
    assert_int_equal(plan.n_node, 1);
    for (int i = 0; i < 8; i++)
        assert_int_equal(plan.worker[i].cpu, -1); /* nobody is pinned */
    text_is("");
}

static void many_nodes(void **state)
{
    of("package:2 numanode:4 core:6 pu:1", 48);
    is_sound();
    assert_int_equal(plan.n_node, 8);
    for (int i = 0; i < 48; i++)
        assert_int_equal(plan.worker[i].node, i / 6);
    of("numa:80 core:1 pu:1", 64); /* more than there is room for */
    is_sound();
    assert_int_equal(plan.n_node, NUMA_MAX_NODE);
}

/* A core less on one node: in proportion. Made by hand: synthetic machines are regular. */
static void uneven_nodes(void **state)
{
    topology = (struct numa_topology){.n_node = 2, .node = {0, 3}, .n_cpu = 9};
    for (int i = 0; i < 9; i++)
        topology.cpu[i] = (struct numa_cpu){i, i >= 3, 0};
    numa_plan(&topology, 9, &plan);
    is_sound();
    assert_int_equal(plan.worker[2].node, 0);
    assert_int_equal(plan.worker[3].node, 1);
    numa_plan(&topology, 6, &plan);
    is_sound();
    assert_int_equal(plan.worker[1].node, 0);
    assert_int_equal(plan.worker[2].node, 1);
    text_is("node 0 workers 0-1 on cpus 0-1, node 3 workers 2-5 on cpus 3-6");
}

/* Shares of the work lie with the workers that get them. */
static void shares(void **state)
{
    of("package:2 numanode:1 core:4 pu:1", 8);
    for (int i = 0; i < 32; i++)
        assert_int_equal(numa_node_of(&plan, i, 32), i / 16);
    assert_int_equal(numa_node_of(&plan, 0, 3), 0);
    assert_int_equal(numa_node_of(&plan, 2, 3), 1);
    assert_int_equal(numa_node_of(&plan, 0, 0), 0);
}

/* On the machine itself, whatever it is, all of it may be called. */
static void here(void **state)
{
    char room[1 << 16];
    numa_topology(&topology);
    assert_true(topology.n_node >= 1);
    numa_plan(&topology, 4, &plan);
    numa_pin(&plan, 0, pthread_self());
    numa_interleave(&plan, room, sizeof room);
    numa_place(&plan, room, sizeof room, 0);
    numa_spread(room, sizeof room);
    memset(room, 1, sizeof room);
    struct pool *pool;
    struct lathe_err err;
    assert_int_equal(pool_new(2, &pool, &err), 0);
    pool_pin(pool, &plan);
    pool_run(pool, NULL, 0);
    pool_free(pool);
}

static void *affinity_of(void *arg)
{
    cpu_set_t *set = arg;
    numa_pin(&plan, 1, pthread_self());
    assert_int_equal(sched_getaffinity(0, sizeof *set, set), 0);
    return NULL;
}

/* A plan as of two nodes, both of which are this machine's first: what it says is done. */
static void pins_and_places(void **state)
{
    enum { N = 16 << 12 };
    cpu_set_t set;
    pthread_t thread;
    int mode = -1;
    int cpu = 0;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    while (!CPU_ISSET(cpu, &set))
        cpu++;
    plan = (struct numa_plan){.is_here = true, .n_node = 2, .n_worker = 2};
    plan.worker[1].cpu = cpu;
    assert_int_equal(pthread_create(&thread, NULL, affinity_of, &set), 0);
    pthread_join(thread, NULL);
    assert_int_equal(CPU_COUNT(&set), 1);
    assert_true(CPU_ISSET(cpu, &set));
    char *p = mmap(NULL, N, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    numa_interleave(&plan, p + 1, N - 2); /* whole pages only */
    if (syscall(SYS_get_mempolicy, &mode, NULL, 0, p + 4096, MPOL_F_ADDR) != 0)
        skip();
    assert_int_equal(mode, MPOL_INTERLEAVE);
    assert_int_equal(syscall(SYS_get_mempolicy, &mode, NULL, 0, p, MPOL_F_ADDR), 0);
    assert_int_equal(mode, MPOL_DEFAULT);
    numa_place(&plan, p, N, 1);
    assert_int_equal(syscall(SYS_get_mempolicy, &mode, NULL, 0, p, MPOL_F_ADDR), 0);
    assert_int_equal(mode, MPOL_PREFERRED);
    p[0] = p[N - 1] = 1;
    munmap(p, N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_sockets), cmocka_unit_test(one_node),
                                       cmocka_unit_test(many_nodes),  cmocka_unit_test(uneven_nodes),
                                       cmocka_unit_test(shares),      cmocka_unit_test(pins_and_places),
                                       cmocka_unit_test(here)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
