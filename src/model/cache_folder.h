/* The folder that keeps laid-out weights (.lay) and indices of vocabularies (.idx) between runs, and its
 * bound. */
#ifndef LATHE_MODEL_CACHE_FOLDER_H
#define LATHE_MODEL_CACHE_FOLDER_H
#include <stdbool.h>
#include <stddef.h>

/* Path of the folder, made if needed: DIR/layouts, or below $XDG_CACHE_HOME or ~/.cache if dir is NULL. False
 * if there is none to be had. */
bool cache_folder(const char *dir, char *out, size_t n);
/* Deletes the files that were used longest ago until all together are within the bound: 64 GiB or half of
 * the file system, whichever is less. `keep`, the path of the newest, stays. Files that somebody has mapped
 * stay readable for him. */
void cache_trim(const char *keep);
#endif
