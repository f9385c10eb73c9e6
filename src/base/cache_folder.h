/* The folder of what is kept between runs: layouts/ with laid-out weights (.lay) and indices of vocabularies
 * (.idx), which has a bound, and kernels/ with verdicts. */
#ifndef LATHE_BASE_CACHE_FOLDER_H
#define LATHE_BASE_CACHE_FOLDER_H
#include <stdbool.h>
#include <stddef.h>

/* Path of the folder for one kind of thing, made if needed: DIR/KIND, or below $XDG_CACHE_HOME/lathe or
 * ~/.cache/lathe if dir is NULL. False if there is none to be had. */
bool cache_folder(const char *dir, const char *kind, char *out, size_t n);
/* Deletes the files of layouts/ that were used longest ago until all together are within the bound: 64 GiB or half of
 * the file system, whichever is less. `keep`, the path of the newest, stays. Files that somebody has mapped
 * stay readable for him. */
void cache_trim(const char *keep);
#endif
