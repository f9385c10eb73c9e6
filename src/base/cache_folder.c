/* The folder of what is kept between runs, and the bound of laid-out weights and indices in it. */
#include "base/cache_folder.h"
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/mem.h"

static int make_dirs(char *path)
{
    for (char *p = path + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char c = *p;
        *p = 0;
        int rc = mkdir(path, 0755);
        *p = c;
        if (rc && errno != EEXIST)
            return -1;
        if (!c)
            return 0;
    }
}

bool cache_folder(const char *dir, const char *kind, char *out, size_t n)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int len;
    if (dir)
        len = snprintf(out, n, "%s/%s", dir, kind);
    else if (xdg && xdg[0] == '/')
        len = snprintf(out, n, "%s/lathe/%s", xdg, kind);
    else if (home && home[0] == '/')
        len = snprintf(out, n, "%s/.cache/lathe/%s", home, kind);
    else
        return false;
    return len > 0 && (size_t)len < n && make_dirs(out) == 0;
}

/* ---- the bound ---- */

enum { MAX_KEPT = 1024 }; /* files looked at; more are deleted at once */
#define MAX_BYTES ((uint64_t)64 << 30)

struct kept {
    char name[64];
    uint64_t n_bytes;
    time_t used;
};

static int by_use(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    return (x->used < y->used) - (x->used > y->used); /* newest first */
}

static bool is_kept(const char *suffix)
{
    return strcmp(suffix, ".lay") == 0 || strcmp(suffix, ".idx") == 0;
}

static size_t list_kept(const char *folder, struct kept *list)
{
    DIR *d = opendir(folder);
    size_t n = 0;
    if (!d)
        return 0;
    for (struct dirent *e; n < MAX_KEPT && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        struct stat st;
        if (len < 5 || len >= sizeof list->name || !is_kept(e->d_name + len - 4) ||
            fstatat(dirfd(d), e->d_name, &st, 0) != 0)
            continue;
        memcpy(list[n].name, e->d_name, len + 1);
        list[n].n_bytes = (uint64_t)st.st_size;
        list[n++].used = st.st_atime > st.st_mtime ? st.st_atime : st.st_mtime;
    }
    closedir(d);
    return n;
}

void cache_trim(const char *keep)
{
    char folder[4100], path[4200];
    const char *slash = strrchr(keep, '/');
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - keep), keep);
    struct statvfs fs;
    uint64_t limit = MAX_BYTES, total = 0;
    if (statvfs(folder, &fs) == 0 && (uint64_t)fs.f_blocks * fs.f_frsize / 2 < limit)
        limit = (uint64_t)fs.f_blocks * fs.f_frsize / 2;
    struct kept *list = mem_new(MAX_KEPT * sizeof *list);
    size_t n = list_kept(folder, list);
    qsort(list, n, sizeof *list, by_use);
    for (size_t i = 0; i < n; i++) {
        total += list[i].n_bytes;
        snprintf(path, sizeof path, "%s/%s", folder, list[i].name);
        if (total > limit && strcmp(path, keep) != 0)
            unlink(path);
    }
    free(list);
}
