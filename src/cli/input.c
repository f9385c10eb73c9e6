/* Whole files and stdin, with a limit. */
#include "cli/input.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int input_check(const char *path, struct lathe_err *err)
{
    struct stat st;
    if (stat(path, &st))
        return err_set(err, LATHE_E_FILE, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return err_set(err, LATHE_E_FILE, "%s: is a directory, a file is needed", path);
    return 0;
}

int input_need_model(const char *path, struct lathe_err *err)
{
    if (!path)
        return err_set(err, LATHE_E_USAGE, "no model: give one with -m FILE or in LATHE_MODEL");
    struct stat st; /* a folder may be a model */
    return stat(path, &st) ? err_set(err, LATHE_E_FILE, "%s: %s", path, strerror(errno)) : 0;
}

int input_read(const char *path, struct buf *out, struct lathe_err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    if (!is_stdin)
        TRY(input_check(path, err));
    FILE *f = is_stdin ? stdin : fopen(path, "rb");
    if (!f)
        return err_set(err, LATHE_E_FILE, "%s: %s", path, strerror(errno));
    char block[65536];
    size_t n;
    int rc = 0;
    while (!rc && (n = fread(block, 1, sizeof block, f)) > 0)
        if (buf_put(out, block, n))
            rc = err_set(err, LATHE_E_LIMIT, "%s: more than %zu MiB, the limit for text",
                         is_stdin ? "stdin" : path, out->limit >> 20);
    if (!rc && ferror(f))
        rc = err_set(err, LATHE_E_FILE, "%s: %s", is_stdin ? "stdin" : path, strerror(errno));
    if (!is_stdin)
        fclose(f);
    return rc;
}
