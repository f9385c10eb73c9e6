/* A temporary folder for one test program. */
#include "tmp_dir.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

static void remove_dir(void)
{
    DIR *d = opendir(dir);
    char path[400];
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            remove(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
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
