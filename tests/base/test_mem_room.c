/* Room for memory: the machine's, and the limits of cgroups of both versions, from folders that look like theirs. */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem_room.h"
#include "tmp_dir.h"

static const char *root;

/* Writes a file below the root, with its folders. */
static void put(const char *path, const char *text)
{
    char full[1000];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mkdir(full, 0755);
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void start(const char *name)
{
    root = tmp_path(name);
    assert_int_equal(mkdir(root, 0755), 0);
}

static void the_machine(void **state)
{
    start("machine");
    assert_true(mem_room(root) == UINT64_MAX);
    put("/proc/meminfo", "MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:   2000 kB\n");
    assert_int_equal(mem_room(root), 2000 * 1024);
    assert_true(mem_room("") > 1 << 20);
}

static void version_2(void **state)
{
    start("v2");
    put("/proc/meminfo", "MemAvailable: 1000000 kB\n");
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    put("/sys/fs/cgroup/a/b/memory.current", "5\n");
    assert_int_equal(mem_room(root), 1000000 * 1024);
    put("/sys/fs/cgroup/a/memory.max", "500000\n"); /* a group above bounds it too */
    put("/sys/fs/cgroup/a/memory.current", "300000\n");
    put("/sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 50000\nactive_file 30000\n");
    assert_int_equal(mem_room(root), 500000 - 300000 + 80000);
    put("/sys/fs/cgroup/a/b/memory.max", "1000\n");
    put("/sys/fs/cgroup/a/b/memory.current", "2000\n");
    assert_int_equal(mem_room(root), 0);
}

static void version_1(void **state)
{
    start("v1");
    put("/proc/self/cgroup", "5:cpu:/x\n4:memory:/gone\n0::/\nnonsense\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "700000\n"); /* seen from inside of a container */
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "600000\n");
    put("/sys/fs/cgroup/memory/memory.stat", "cache 9\ntotal_inactive_file 100\ntotal_active_file 11\n");
    assert_int_equal(mem_room(root), 100111);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_machine), cmocka_unit_test(version_2),
                                       cmocka_unit_test(version_1)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
