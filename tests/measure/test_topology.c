/* Tests of cores, caches and nodes: of machines that hwloc is told of through its environment, and of this one. */
#include "unit.h"
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/cpu.h"
#include "measure/machine.h"
#include "tmp_dir.h"

static void forget(void)
{
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_FSROOT");
    unsetenv("HWLOC_COMPONENTS");
    unsetenv("HWLOC_THISSYSTEM");
}

/* The machine that the variable describes; skips the case if there is no hwloc to ask. */
static void describe(const char *variable, const char *value, struct machine_topology *t)
{
    setenv(variable, value, 1);
    setenv("HWLOC_THISSYSTEM", "0", 1);
    machine_topology(t);
    forget();
    if (strstr(t->unknown, "package libhwloc"))
        skip();
    assert_string_equal(t->unknown, "");
}

static void check_cache(const struct machine_topology *t, int i, struct machine_cache want)
{
    assert_in_range(i, 0, t->n_cache - 1);
    assert_int_equal(t->cache[i].level, want.level);
    assert_string_equal(t->cache[i].type, want.type);
    assert_int_equal(t->cache[i].bytes, want.bytes);
    assert_int_equal(t->cache[i].n_instance, want.n_instance);
    assert_int_equal(t->cache[i].n_sharing, want.n_sharing);
}

static void every_number_of_a_known_machine(void **state)
{
    struct machine_topology t;
    describe("HWLOC_SYNTHETIC",
             "pack:2 numa:1(memory=8589934592) l3:2(size=33554432) l2:4(size=1048576) l1d:1(size=49152) "
             "l1i:1(size=32768) core:1 pu:2",
             &t);
    assert_int_equal(t.n_core, 32);
    assert_int_equal(t.n_usable, cpu_count());
    assert_int_equal(t.n_package, 2);
    assert_int_equal(t.threads_per_core, 2);
    assert_int_equal(t.n_cache, 4);
    check_cache(&t, 0, (struct machine_cache){1, "Data", 49152, 16, 2});
    check_cache(&t, 1, (struct machine_cache){1, "Instruction", 32768, 16, 2});
    check_cache(&t, 2, (struct machine_cache){2, "Unified", 1048576, 16, 2});
    check_cache(&t, 3, (struct machine_cache){3, "Unified", 33554432, 4, 8});
    assert_int_equal(t.n_node, 2);
    assert_string_equal(t.node_cpus[0], "0-15");
    assert_string_equal(t.node_cpus[1], "16-31");
    assert_int_equal(t.node_mib[0], 8192);
    assert_int_equal(t.node_mib[1], 8192);
}

static void levels_may_be_missing(void **state)
{
    struct machine_topology t;
    describe("HWLOC_SYNTHETIC", "l2:2(size=524288) core:2 pu:1", &t);
    assert_int_equal(t.n_core, 4);
    assert_int_equal(t.n_package, 1);
    assert_int_equal(t.threads_per_core, 1);
    assert_int_equal(t.n_cache, 1);
    check_cache(&t, 0, (struct machine_cache){2, "Unified", 524288, 2, 2});
    assert_int_equal(t.n_node, 1);
    describe("HWLOC_SYNTHETIC", "pu:3", &t);
    assert_int_equal(t.n_core, 3);
    assert_int_equal(t.n_package, 1);
    assert_int_equal(t.threads_per_core, 1);
    assert_int_equal(t.n_cache, 0);
}

static void what_does_not_fit_is_cut(void **state)
{
    static struct machine_topology t;
    describe("HWLOC_SYNTHETIC", "numa:80(memory=1048576) core:1 pu:1", &t);
    assert_int_equal(t.n_core, 80);
    assert_int_equal(t.n_node, MACHINE_MAX_NODE);
    assert_string_equal(t.node_cpus[63], "63");
    assert_int_equal(t.node_mib[63], 1);
    /* Numbers that alternate between two nodes: 0,2,4,...,798. */
    describe("HWLOC_SYNTHETIC", "numa:2 core:400 pu:1(indexes=400*2:1*400)", &t);
    assert_int_equal(t.n_node, 2);
    size_t n = strlen(t.node_cpus[0]);
    assert_in_range(n, sizeof t.node_cpus[0] - 8, sizeof t.node_cpus[0] - 1);
    int want = 0;
    for (const char *p = t.node_cpus[0]; *p != '.'; want += 2) {
        char *end;
        assert_int_equal(strtol(p, &end, 10), want);
        assert_true(*end == ',');
        p = end + 1;
    }
    assert_string_equal(t.node_cpus[0] + n - 4, ",...");
}

/* Writes one line to a file under the root, with the folders that it needs. */
static void put(const char *root, const char *name, const char *line)
{
    char path[512];
    assert_in_range(snprintf(path, sizeof path, "%s/%s", root, name), 1, sizeof path - 1);
    for (char *p = path + strlen(root); *p; p++)
        if (*p == '/') {
            *p = 0;
            assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
            *p = '/';
        }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fprintf(f, "%s\n", line) > 0);
    assert_int_equal(fclose(f), 0);
}

static void put_of_cpu(const char *root, int cpu, const char *name, const char *line)
{
    char path[128];
    snprintf(path, sizeof path, "sys/devices/system/cpu/cpu%d/%s", cpu, name);
    put(root, path, line);
}

/* A core of Linux's sysfs: who shares it, and its caches. */
struct fake_cpu {
    int number;
    const char *core_id, *siblings, *l1d, *l1i, *l2, *l2_sharing;
};

static void put_cpu(const char *root, const struct fake_cpu *c, const char *all)
{
    const char *const cache[][4] = {{"1", "Data", c->l1d, c->siblings},
                                    {"1", "Instruction", c->l1i, c->siblings},
                                    {"2", "Unified", c->l2, c->l2_sharing},
                                    {"3", "Unified", "12288K", all}};
    static const char *const field[] = {"level", "type", "size", "shared_cpu_map"};
    put_of_cpu(root, c->number, "topology/physical_package_id", "0");
    put_of_cpu(root, c->number, "topology/core_id", c->core_id);
    put_of_cpu(root, c->number, "topology/thread_siblings", c->siblings);
    put_of_cpu(root, c->number, "topology/core_siblings", all);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++) {
            char name[64];
            snprintf(name, sizeof name, "cache/index%d/%s", i, field[k]);
            put_of_cpu(root, c->number, name, cache[i][k]);
        }
}

/* Cores of two kinds; the second thread of the first core is offline, and a cpuset allows two processors alone: what
 * is offline is not there, what is forbidden is. */
static void offline_and_forbidden_processors(void **state)
{
    static const struct fake_cpu cpus[] = {
        {0, "0", "01", "48K", "32K", "1280K", "01"}, {2, "1", "0c", "48K", "32K", "1280K", "0c"},
        {3, "1", "0c", "48K", "32K", "1280K", "0c"}, {4, "4", "10", "32K", "64K", "2048K", "30"},
        {5, "5", "20", "32K", "64K", "2048K", "30"},
    };
    struct machine_topology t;
    const char *root = tmp_path("root");
    mkdir(root, 0700);
    put(root, "sys/devices/system/cpu/online", "0,2-5");
    put(root, "sys/devices/system/cpu/possible", "0-5");
    put(root, "sys/devices/system/cpu/present", "0-5");
    put(root, "proc/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0");
    put(root, "proc/self/cgroup", "0::/box");
    put(root, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu memory");
    put(root, "sys/fs/cgroup/box/cpuset.cpus.effective", "0,4");
    put(root, "sys/fs/cgroup/box/cpuset.mems.effective", "0");
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++)
        put_cpu(root, &cpus[i], "3d");
    setenv("HWLOC_COMPONENTS", "linux,stop", 1); /* and not this CPU's own word for it */
    describe("HWLOC_FSROOT", root, &t);
    assert_int_equal(t.n_core, 5);
    assert_int_equal(t.n_usable, cpu_count());
    assert_int_equal(t.n_package, 1);
    assert_int_equal(t.threads_per_core, 2);
    assert_int_equal(t.n_cache, 7);
    check_cache(&t, 0, (struct machine_cache){1, "Data", 48 << 10, 2, 2});
    check_cache(&t, 1, (struct machine_cache){1, "Data", 32 << 10, 2, 1});
    check_cache(&t, 2, (struct machine_cache){1, "Instruction", 32 << 10, 2, 2});
    check_cache(&t, 3, (struct machine_cache){1, "Instruction", 64 << 10, 2, 1});
    check_cache(&t, 4, (struct machine_cache){2, "Unified", 1280 << 10, 2, 2});
    check_cache(&t, 5, (struct machine_cache){2, "Unified", 2048 << 10, 1, 2});
    check_cache(&t, 6, (struct machine_cache){3, "Unified", 12288 << 10, 1, 5});
    assert_int_equal(t.n_node, 1);
    assert_string_equal(t.node_cpus[0], "0,2-5");
}

static void this_machine_is_plausible(void **state)
{
    struct machine_topology t;
    machine_topology(&t);
    assert_int_equal(t.n_core, sysconf(_SC_NPROCESSORS_ONLN));
    assert_int_equal(t.n_usable, cpu_count());
    assert_in_range(t.n_usable, 1, t.n_core);
    assert_true(t.memory_mib > 16);
    if (t.unknown[0]) {
        assert_true(t.n_package == 0 && t.threads_per_core == 0 && t.n_cache == 0 && t.n_node == 0);
        return;
    }
    assert_in_range(t.n_package, 1, t.n_core);
    assert_in_range(t.threads_per_core, 1, t.n_core);
    assert_in_range(t.n_cache, 0, MACHINE_MAX_CACHE);
    for (int i = 0; i < t.n_cache; i++) {
        assert_true(t.cache[i].bytes >= 1024 && t.cache[i].n_instance > 0);
        assert_in_range(t.cache[i].n_sharing, 1, t.n_core);
    }
    assert_in_range(t.n_node, 1, MACHINE_MAX_NODE);
}

/* What a process may use is less than what there is, and asking hwloc leaves the processors as they were. */
static void a_mask_narrows_what_is_usable_only(void **state)
{
    cpu_set_t before, one, after;
    struct machine_topology whole, narrow;
    machine_topology(&whole);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    int first = 0;
    while (!CPU_ISSET(first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    machine_topology(&narrow);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    sched_setaffinity(0, sizeof before, &before);
    assert_true(CPU_EQUAL(&after, &one));
    assert_int_equal(narrow.n_usable, 1);
    assert_int_equal(narrow.n_core, whole.n_core);
    assert_int_equal(narrow.n_cache, whole.n_cache);
    for (int i = 0; i < whole.n_cache; i++)
        check_cache(&narrow, i, whole.cache[i]);
}

int main(void)
{
    forget();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_of_a_known_machine),
        cmocka_unit_test(levels_may_be_missing),
        cmocka_unit_test(what_does_not_fit_is_cut),
        cmocka_unit_test(offline_and_forbidden_processors),
        cmocka_unit_test(this_machine_is_plausible),
        cmocka_unit_test(a_mask_narrows_what_is_usable_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
