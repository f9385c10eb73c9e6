/* A temporary folder for one test program. */
#include "tmp_dir.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    remove(path);
    return 0;
}

static void remove_dir(void)
{
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *tmp_path(const char *name)
{
    static char path[8][400];
    static unsigned next;
    if (!dir[0]) {
        strcpy(dir, "/tmp/lathe-test-XXXXXX");
        if (!mkdtemp(dir)) {
            perror(dir);
            exit(99);
        }
        atexit(remove_dir);
    }
    char *p = path[next++ % 8];
    snprintf(p, sizeof *path, "%s/%s", dir, name);
    return p;
}
