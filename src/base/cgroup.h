/* The cgroups that this process is in, of both versions, and what they allow. `root` is "" for the machine itself, a
 * folder that looks like it in tests. */
#ifndef LATHE_BASE_CGROUP_H
#define LATHE_BASE_CGROUP_H
#include <stdbool.h>
#include <stdint.h>

/* Calls `visit` with the folder of the process's group, and of every group above it, in each hierarchy that has the
 * controller ("memory", "cpu"). Version 2 has one for all of them. Inside of a container its own group is the root, and
 * the path that the kernel names may lead nowhere: such folders have no files. */
void cgroup_each(const char *root, const char *controller,
                 void (*visit)(void *user, int version, const char *folder), void *user);
/* The number behind `name` at the start of a line of the file folder/file, or its first number for "". False if there is
 * none: no such file, no such line, or a word such as "max". */
bool cgroup_number(const char *folder, const char *file, const char *name, uint64_t *out);
/* CPUs that the quotas of the process's groups pay for, rounded up: the least of them; 0 if there is no quota. */
int cgroup_cpus(const char *root);
#endif
