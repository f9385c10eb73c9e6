/* Folders within folders, a few deep. */
#include "base/remove_tree.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { DEEPEST = 8 };

static void inside(int parent, const char *name, const char *but, int depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            (but && strcmp(e->d_name, but) == 0))
            continue;
        if (unlinkat(fd, e->d_name, 0) == 0 || depth == DEEPEST)
            continue;
        inside(fd, e->d_name, NULL, depth + 1);
        unlinkat(fd, e->d_name, AT_REMOVEDIR);
    }
    closedir(d);
}

void remove_tree_inside(const char *folder, const char *but)
{
    inside(AT_FDCWD, folder, but, 0);
}
