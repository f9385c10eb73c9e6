/* Room for memory: the machine's, and the limits of cgroups of both versions, from folders that look like theirs. */
#include "unit.h"
#include <lathe.h>
#include <stdlib.h>
#include "base/mem_room.h"
#include "fake_root.h"

static const char *root;

static void the_machine(void **state)
{
    root = fake_root("machine");
    assert_true(mem_room(root) == UINT64_MAX);
    fake_put("/proc/meminfo", "MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:   2000 kB\n");
    assert_int_equal(mem_room(root), 2000 * 1024);
    assert_true(mem_room("") > 1 << 20);
}

static void version_2(void **state)
{
    root = fake_root("v2");
    fake_put("/proc/meminfo", "MemAvailable: 1000000 kB\n");
    fake_put("/proc/self/cgroup", "0::/a/b\n");
    fake_put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    fake_put("/sys/fs/cgroup/a/b/memory.current", "5\n");
    assert_int_equal(mem_room(root), 1000000 * 1024);
    fake_put("/sys/fs/cgroup/a/memory.max", "500000\n"); /* a group above bounds it too */
    fake_put("/sys/fs/cgroup/a/memory.current", "300000\n");
    fake_put("/sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 50000\nactive_file 30000\n");
    assert_int_equal(mem_room(root), 500000 - 300000 + 80000);
    fake_put("/sys/fs/cgroup/a/b/memory.max", "1000\n");
    fake_put("/sys/fs/cgroup/a/b/memory.current", "2000\n");
    assert_int_equal(mem_room(root), 0);
    fake_put("/sys/fs/cgroup/a/b/memory.current", "300\n");
    fake_put("/sys/fs/cgroup/a/b/memory.high", "800\n"); /* past this the kernel holds the group up */
    assert_int_equal(mem_room(root), 500);
}

static void version_1(void **state)
{
    root = fake_root("v1");
    fake_put("/proc/self/cgroup", "5:cpu:/x\n4:memory:/gone\n0::/\nnonsense\n");
    fake_put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "700000\n"); /* seen from inside of a container */
    fake_put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "600000\n");
    fake_put("/sys/fs/cgroup/memory/memory.stat", "cache 9\ntotal_inactive_file 100\ntotal_active_file 11\n");
    assert_int_equal(mem_room(root), 100111);
}

static void this_process(void **state)
{
    enum { N = 64 << 20 };
    uint64_t before = mem_resident(), files = before - mem_anonymous();
    assert_true(before > 1 << 16);
    volatile char *p = malloc(N); /* or the compiler leaves the memory out */
    for (int i = 0; i < N; i += 4096)
        p[i] = 1;
    assert_true(mem_resident() >= before + N / 8 * 7);
#ifndef LATHE_CHECK_BUILD /* sanitizers keep several bytes for each */
    assert_true(mem_resident() < before + 2 * (uint64_t)N);
#endif
    assert_true(mem_resident() - mem_anonymous() < files + N / 8 && files > 0);
    assert_true(lathe_memory_room() > N && lathe_memory_room() <= mem_room("") + 2 * mem_anonymous());
    free((void *)p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_machine), cmocka_unit_test(version_2),
                                       cmocka_unit_test(version_1), cmocka_unit_test(this_process)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
