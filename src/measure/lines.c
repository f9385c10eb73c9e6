/* The lines of a file, one after another, each bounded. */
#include "measure/lines.h"
#include <errno.h>
#include <string.h>

int lines_open(struct lines *l, const char *path, struct lathe_err *err)
{
    *l = (struct lines){.path = path, .file = fopen(path, "rb")};
    buf_init(&l->line, LINES_MOST_BYTES);
    return l->file ? 0 : err_set(err, LATHE_E_FILE, "%s: %s", path, strerror(errno));
}

void lines_close(struct lines *l)
{
    if (l->file)
        fclose(l->file);
    l->file = NULL;
    buf_free(&l->line);
}

int lines_wrong(const struct lines *l, const char *why, struct lathe_err *err)
{
    return err_set(err, LATHE_E_FILE, "%s: line %d %s", l->path, l->number, why);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Up to a newline or the end; 1 if there was anything. */
static int read_line(struct lines *l, struct lathe_err *err)
{
    bool any = false;
    buf_clear(&l->line);
    l->number++;
    for (int c; (c = getc_unlocked(l->file)) != EOF && c != '\n'; any = true)
        if (buf_putc(&l->line, (char)c))
            return lines_wrong(l, "is longer than 4 MiB", err);
    if (ferror(l->file))
        return err_set(err, LATHE_E_FILE, "%s: %s", l->path, strerror(errno));
    return any || !feof(l->file);
}

int lines_next(struct lines *l, struct lathe_err *err)
{
    int rc;
    while ((rc = read_line(l, err)) > 0) {
        while (l->line.n && is_space(l->line.p[l->line.n - 1]))
            l->line.p[--l->line.n] = 0;
        if (l->line.n)
            return 1;
    }
    return rc;
}

int lines_next_json(struct lines *l, json_t **out, struct lathe_err *err)
{
    int rc = lines_next(l, err);
    if (rc <= 0)
        return rc;
    *out = json_loadb(l->line.p, l->line.n, 0, NULL);
    return *out ? 1 : lines_wrong(l, "is no JSON", err);
}

void lines_name(const char *path, char *out, size_t n)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    snprintf(out, n, "%s", name);
    char *dot = strchr(out, '.');
    if (dot && dot > out)
        *dot = 0;
}
