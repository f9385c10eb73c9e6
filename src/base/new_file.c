/* A file that appears complete or not at all: it has no name while it is written (O_TMPFILE), and gets it by a rename. On
 * file systems without such files it has a temporary name, which goes when writing fails. */
#include "base/new_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file_at.h"

static int failed(const struct new_file *f, struct lathe_err *err)
{
    return err_set(err, LATHE_E_IO, "%.200s cannot be written: %s", f->path, strerror(errno));
}

void new_file_folder(const char *path, char *out, size_t n)
{
    const char *slash = strrchr(path, '/');
    snprintf(out, n, "%.*s", slash ? (int)(slash - path + (slash == path)) : 1, slash ? path : ".");
}

static int reserve(struct new_file *f, uint64_t n_bytes, struct lathe_err *err)
{
    int rc = n_bytes ? posix_fallocate(f->fd, 0, (off_t)n_bytes) : 0;
    if (rc == 0 || rc == EOPNOTSUPP || rc == EINVAL)
        return 0;
    errno = rc;
    return new_file_close(f, failed(f, err), err);
}

int new_file_continue(struct new_file *f, const char *path, const char *temporary, uint64_t n_bytes,
                      struct lathe_err *err)
{
    *f = (struct new_file){.fd = -1, .path = path, .kept = true};
    if (strlen(temporary) >= sizeof f->temporary)
        return err_set(err, LATHE_E_USAGE, "%.100s... is too long a path", path);
    memcpy(f->temporary, temporary, strlen(temporary) + 1);
    f->fd = open(temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    return f->fd < 0 ? failed(f, err) : reserve(f, n_bytes, err);
}

int new_file_open(struct new_file *f, const char *path, uint64_t n_bytes, struct lathe_err *err)
{
    char folder[4200];
    *f = (struct new_file){.fd = -1, .path = path};
    if (strlen(path) + 16 > sizeof f->temporary)
        return err_set(err, LATHE_E_USAGE, "%.100s... is too long a path", path);
    new_file_folder(path, folder, sizeof folder);
    f->fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
    if (f->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        snprintf(f->temporary, sizeof f->temporary, "%s.XXXXXX", path);
        f->fd = mkostemp(f->temporary, O_CLOEXEC);
        if (f->fd < 0)
            f->temporary[0] = 0;
    }
    if (f->fd < 0)
        return failed(f, err);
    return reserve(f, n_bytes, err);
}

int new_file_write(struct new_file *f, const void *p, size_t n, struct lathe_err *err)
{
    if (!file_write_at(f->fd, p, n, f->n_bytes))
        return failed(f, err);
    f->n_bytes += n;
    return 0;
}

static int give_name(struct new_file *f)
{
    if (!f->temporary[0]) {
        char self[64];
        snprintf(self, sizeof self, "/proc/self/fd/%d", f->fd);
        snprintf(f->temporary, sizeof f->temporary, "%s.%ld", f->path, (long)getpid());
        if (linkat(AT_FDCWD, self, AT_FDCWD, f->temporary, AT_SYMLINK_FOLLOW)) {
            f->temporary[0] = 0;
            return -1;
        }
    } else if (fchmod(f->fd, 0644)) {
        return -1;
    }
    return rename(f->temporary, f->path);
}

/* The name is on the disk too. */
static void sync_folder(const char *path)
{
    char folder[4200];
    new_file_folder(path, folder, sizeof folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

int new_file_close(struct new_file *f, int rc, struct lathe_err *err)
{
    if (f->fd < 0)
        return rc;
    if (!rc && (ftruncate(f->fd, (off_t)f->n_bytes) || fsync(f->fd) || give_name(f)))
        rc = failed(f, err);
    if (rc && f->temporary[0] && !f->kept)
        unlink(f->temporary);
    else if (!rc)
        sync_folder(f->path);
    close(f->fd);
    f->fd = -1;
    return rc;
}

int new_file_move(const char *from, const char *to, struct lathe_err *err)
{
    if (rename(from, to))
        return err_set(err, LATHE_E_IO, "%.200s cannot be put in its place: %s", to, strerror(errno));
    sync_folder(to);
    return 0;
}

int new_file_nameless(const char *folder, uint64_t n_bytes)
{
    char path[4200];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        snprintf(path, sizeof path, "%s/.lathe-XXXXXX", folder);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            unlink(path);
    }
    if (fd < 0)
        return -errno;
    int e = posix_fallocate(fd, 0, (off_t)n_bytes);
    if (e)
        close(fd);
    return e ? -e : fd;
}

int new_file_map_of(int fd, const char *folder, uint64_t n_bytes, const char *what, void **out,
                    struct lathe_err *err)
{
    int e = fd < 0 ? -fd : 0;
    void *p = e ? NULL : mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        e = errno;
    if (fd >= 0)
        close(fd);
    *out = e ? NULL : p;
    return e ? err_set(err, LATHE_E_IO, "%.200s has no room for %.1f MiB of %s: %s", folder,
                       (double)n_bytes / 1048576, what, strerror(e))
             : 0;
}

int new_file_map(const char *folder, uint64_t n_bytes, const char *what, void **out, struct lathe_err *err)
{
    return new_file_map_of(new_file_nameless(folder, n_bytes), folder, n_bytes, what, out, err);
}
