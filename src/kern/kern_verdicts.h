/* Verdicts on kernel rows and what they cost (picoseconds of a call with one token and with a tile of them; 0: there was
 * nothing to choose), kept between runs in a text file of the cache folder:
 *
 *     lathe kernels 2
 *     cpu AuthenticAMD-25-17-1-0x1000065
 *     build 5f0c...
 *     passed tile_dot_q4_0_avx512vnni 238000 2100000
 *     timed tile_dot_q4_0_avx2 310000 6400000
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

/* Fills *v: what the folder remembers, the rest from trials, which the folder then remembers if it can be
 * written. folder NULL: from trials alone. */
void kern_verdicts_settle(struct kern_verdicts *v, const char *folder, const struct kern_trial *trial);
#endif
