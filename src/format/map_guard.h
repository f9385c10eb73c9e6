/* A file that shrinks under its mapping: a read past the new end raises SIGBUS. The guard knows the mapped
 * ranges, puts zero pages where the file has gone and marks the range as damaged, so that whoever reads it
 * can end with an error instead of a crash.
 *
 * Faults outside the ranges go to the handler that was there before. */
#ifndef LATHE_FORMAT_MAP_GUARD_H
#define LATHE_FORMAT_MAP_GUARD_H
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

/* Guards [p, p + n), a whole mapping, and makes the handler that of the process (again). *slot names the
 * range. LIMIT when the table is full. */
int map_guard_add(void *p, size_t n, int *slot, struct lathe_err *err);
/* Before munmap. A negative slot is nothing. */
void map_guard_remove(int slot);
/* Whether a read of the range has met a page that the file no longer has. */
bool map_guard_damaged(int slot);
#endif
