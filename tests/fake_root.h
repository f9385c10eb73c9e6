/* A folder that looks like the root of a machine: files of /proc and /sys. */
#ifndef LATHE_TESTS_FAKE_ROOT_H
#define LATHE_TESTS_FAKE_ROOT_H

/* A new, empty root in the test's folder; valid until the next one. */
const char *fake_root(const char *name);
/* Writes a file below the newest root, with its folders. */
void fake_put(const char *path, const char *text);
#endif
