/* Verdicts on kernel rows, kept between runs in a text file of the cache folder:
 *
 *     lathe kernels 1
 *     cpu AuthenticAMD-25-17-1-0x1000065
 *     build 5f0c...
 *     passed tile_dot_q4_0_avx512vnni
 *     ...
 *     end 1d9af33c52be7d44
 *
 * They hold for one CPU and microcode (base/cpu.h) and one build: a digest of the kernels' sources, the compiler and
 * its flags, made when the build is configured. Anything else in the file, or a digest at its end that is not that of
 * the lines before it, and the rows are checked again. */
#ifndef LATHE_KERN_KERN_VERDICTS_H
#define LATHE_KERN_KERN_VERDICTS_H
#include <stddef.h>
#include "kern/kern_check.h"

/* The first three lines for this CPU and build. */
void kern_verdicts_key(char *out, size_t n);
/* False if there is no such file, or not one of that key; *v is then unchanged. */
bool kern_verdicts_read(const char *path, const char *key, struct kern_verdicts *v);
/* The file appears complete or not at all. */
bool kern_verdicts_write(const char *path, const char *key, const struct kern_verdicts *v);

/* Fills *v: what the folder remembers, the rest from checks, which the folder then remembers if it can be
 * written. folder NULL: from checks alone. */
void kern_verdicts_settle(struct kern_verdicts *v, const char *folder,
                          bool (*check)(const struct kern_row *, const struct kern_row *));
#endif
