/* A small file as a whole. */
#include "base/read_file.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int read_file(const char *path, struct buf *out, struct lathe_err *err)
{
    char part[16 << 10];
    size_t n;
    struct stat st;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return err_set(err, LATHE_E_FILE, "%.200s cannot be read: %s", path, strerror(errno));
    int rc = 0;
    if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode))
        rc = err_set(err, LATHE_E_FILE, "%.200s is a folder: name a file", path);
    while (!rc && (n = fread(part, 1, sizeof part, f)) > 0)
        if (buf_put(out, part, n))
            rc = err_set(err, LATHE_E_FILE, "%.200s is larger than %zu bytes", path, out->limit);
    if (!rc && ferror(f))
        rc = err_set(err, LATHE_E_FILE, "%.200s cannot be read: %s", path, strerror(errno));
    fclose(f);
    return rc;
}
