/* A folder that looks like the root of a machine. */
#include "fake_root.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "tmp_dir.h"

static char root[900];

const char *fake_root(const char *name)
{
    snprintf(root, sizeof root, "%s", tmp_path(name));
    if (mkdir(root, 0755) != 0) {
        perror(root);
        abort();
    }
    return root;
}

void fake_put(const char *path, const char *text)
{
    char full[1200];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mkdir(full, 0755);
    }
    FILE *f = fopen(full, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(full);
        abort();
    }
}
