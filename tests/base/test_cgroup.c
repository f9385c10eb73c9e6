/* CPUs that cgroups pay for, of both versions, and the way from the process's group up. */
#include "unit.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "base/cgroup.h"
#include "base/cpu.h"
#include "fake_root.h"

static void version_2(void **state)
{
    const char *root = fake_root("cpu2");
    assert_int_equal(cgroup_cpus(root), 0);
    fake_put("/proc/self/cgroup", "0::/a/b\n");
    fake_put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(cgroup_cpus(root), 0);
    fake_put("/sys/fs/cgroup/a/b/cpu.max", "150000 100000\n"); /* a part of a CPU counts as one */
    assert_int_equal(cgroup_cpus(root), 2);
    fake_put("/sys/fs/cgroup/a/cpu.max", "10000 100000\n"); /* a group above bounds it too */
    assert_int_equal(cgroup_cpus(root), 1);
    fake_put("/sys/fs/cgroup/a/b/cpu.max", "nonsense\n");
    fake_put("/sys/fs/cgroup/a/cpu.max", "0 0\n");
    assert_int_equal(cgroup_cpus(root), 0);
    fake_put("/sys/fs/cgroup/cpu.max", "400000 100000\n"); /* seen from inside of a container */
    assert_int_equal(cgroup_cpus(root), 4);
}

static void version_1(void **state)
{
    const char *root = fake_root("cpu1");
    fake_put("/proc/self/cgroup", "7:cpuset:/x\n5:cpu,cpuacct:/gone\n4:memory:/y\nnonsense\n0::/z\n");
    fake_put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    fake_put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cgroup_cpus(root), 0);
    fake_put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
    assert_int_equal(cgroup_cpus(root), 2);
    fake_put("/sys/fs/cgroup/cpu/gone/cpu.cfs_quota_us", "50000\n"); /* without its period */
    assert_int_equal(cgroup_cpus(root), 2);
    fake_put("/sys/fs/cgroup/cpu/gone/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cgroup_cpus(root), 1);
}

struct walk {
    char folders[1000];
    int n;
};

static void note(void *user, int version, const char *folder)
{
    struct walk *w = user;
    size_t n = strlen(w->folders);
    snprintf(w->folders + n, sizeof w->folders - n, "%d:%s ", version, strstr(folder, "/sys"));
    w->n++;
}

static void from_the_group_up(void **state)
{
    const char *root = fake_root("walk");
    struct walk w = {0}, none = {0};
    fake_put("/proc/self/cgroup", "3:cpuacct,cpu:/s\n2:cpuset:/t\n0::/a/b\n1:name=systemd:/\n");
    cgroup_each(root, "cpu", note, &w);
    assert_string_equal(w.folders, "1:/sys/fs/cgroup/cpu/s 1:/sys/fs/cgroup/cpu 2:/sys/fs/cgroup/a/b "
                                   "2:/sys/fs/cgroup/a 2:/sys/fs/cgroup ");
    cgroup_each("/nowhere", "cpu", note, &none);
    assert_int_equal(none.n, 0);
}

static void here(void **state)
{
    int quota = cgroup_cpus(""), n = cpu_count();
    assert_true(n >= 1 && (quota == 0 || n <= quota));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(version_2), cmocka_unit_test(version_1),
                                       cmocka_unit_test(from_the_group_up), cmocka_unit_test(here)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
