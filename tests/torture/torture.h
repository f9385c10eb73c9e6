/* Fails every fallible call of a load path in turn: one run for the first mmap, one for the second, ... until a run meets no failure.
 * A program that includes this is linked with the names below wrapped, as the "link" line at its top says.
 *
 * What is checked of each run: it ends with success (where there is a way around, as without a cache) or with
 * a code and words; nothing that it allocated, mapped or opened is left. malloc, calloc and realloc are
 * counted, not failed: the library uses them for small sizes of its own, and aborts by rule when the machine
 * has none left. Sizes that a file decides go through aligned_alloc. */
#ifndef LATHE_TESTS_TORTURE_H
#define LATHE_TESTS_TORTURE_H
#include "unit.h"
#include <dirent.h>
#include <errno.h>
#include <lathe.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gguf_write.h"

/* ---- failing and counting ---- */

/* name, result of a failed call, errno */
#define FAULTS(X)              \
    X(aligned_alloc, ENOMEM)   \
    X(mmap, ENOMEM)            \
    X(open, EMFILE)            \
    X(openat, EMFILE)          \
    X(fstat, EIO)              \
    X(stat, EIO)               \
    X(read, EIO)               \
    X(pread, EIO)              \
    X(pwrite, ENOSPC)          \
    X(ftruncate, EIO)          \
    X(flock, EWOULDBLOCK)      \
    X(posix_fallocate, ENOSPC) \
    X(fdatasync, EIO)          \
    X(rename, EACCES)          \
    X(mkdir, EROFS)            \
    X(mlock, EPERM)            \
    X(pipe2, EMFILE)           \
    X(poll, ENOMEM)            \
    X(pthread_create, EAGAIN)

enum fault {
#define X(name, number) FAULT_##name,
    FAULTS(X)
#undef X
        N_FAULT
};
static const char *const fault_names[] = {
#define X(name, number) #name,
    FAULTS(X)
#undef X
};

static atomic_int armed = -1; /* the fault that counts down, or -1 */
static atomic_int countdown;
static atomic_long n_map, n_fd;

static bool fails(enum fault which, int number)
{
    if (atomic_load(&armed) != (int)which || atomic_fetch_sub(&countdown, 1) != 1)
        return false;
    errno = number;
    return true;
}

/* Pointers that our code got from the allocator and has not given back. */
enum { N_LIVE = 1 << 20 };
static void *live[N_LIVE];
static long n_live;
static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER;

static void *keep(void *p)
{
    pthread_mutex_lock(&live_lock);
    size_t at = ((uintptr_t)p >> 4) * 2654435761u % N_LIVE;
    while (p && live[at] && live[at] != (void *)1)
        at = (at + 1) % N_LIVE;
    if (p) {
        live[at] = p;
        n_live++;
    }
    pthread_mutex_unlock(&live_lock);
    return p;
}

static void drop(void *p)
{
    pthread_mutex_lock(&live_lock);
    size_t at = ((uintptr_t)p >> 4) * 2654435761u % N_LIVE;
    for (; p && live[at]; at = (at + 1) % N_LIVE)
        if (live[at] == p) {
            live[at] = (void *)1;
            n_live--;
            break;
        }
    pthread_mutex_unlock(&live_lock);
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void __real_free(void *p);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *p, size_t n);
int __real_open(const char *path, int flags, mode_t mode);
int __real_openat(int dir, const char *path, int flags, mode_t mode);
int __real_close(int fd);
int __real_fstat(int fd, struct stat *st);
int __real_stat(const char *path, struct stat *st);
ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
int __real_ftruncate(int fd, off_t n);
int __real_flock(int fd, int op);
int __real_posix_fallocate(int fd, off_t at, off_t n);
int __real_fdatasync(int fd);
int __real_rename(const char *from, const char *to);
int __real_mkdir(const char *path, mode_t mode);
int __real_mlock(const void *p, size_t n);
int __real_pipe2(int fds[2], int flags);
int __real_poll(struct pollfd *fds, nfds_t n, int ms);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

void *__wrap_malloc(size_t n)
{
    return keep(__real_malloc(n));
}
void *__wrap_calloc(size_t n, size_t size)
{
    return keep(__real_calloc(n, size));
}
void *__wrap_realloc(void *p, size_t n)
{
    drop(p);
    return keep(__real_realloc(p, n));
}
void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return fails(FAULT_aligned_alloc, ENOMEM) ? NULL : keep(__real_aligned_alloc(align, n));
}
void __wrap_free(void *p)
{
    drop(p);
    __real_free(p);
}
/* Ends of a mapping may go before the rest: what counts is pages. */
static long pages_of(size_t n)
{
    return (long)((n + 4095) / 4096);
}
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    void *p = fails(FAULT_mmap, ENOMEM) ? MAP_FAILED : __real_mmap(at, n, prot, flags, fd, offset);
    if (p != MAP_FAILED && !(flags & MAP_FIXED)) /* a fixed one replaces what is there */
        n_map += pages_of(n);
    return p;
}
int __wrap_munmap(void *p, size_t n)
{
    n_map -= pages_of(n);
    return __real_munmap(p, n);
}
int __wrap_open(const char *path, int flags, mode_t mode)
{
    int fd = fails(FAULT_open, EMFILE) ? -1 : __real_open(path, flags, mode);
    n_fd += fd >= 0;
    return fd;
}
int __wrap_openat(int dir, const char *path, int flags, mode_t mode)
{
    int fd = fails(FAULT_openat, EMFILE) ? -1 : __real_openat(dir, path, flags, mode);
    n_fd += fd >= 0;
    return fd;
}
int __wrap_close(int fd)
{
    n_fd--;
    return __real_close(fd);
}

int __wrap_pipe2(int fds[2], int flags)
{
    int rc = fails(FAULT_pipe2, EMFILE) ? -1 : __real_pipe2(fds, flags);
    n_fd += rc ? 0 : 2;
    return rc;
}

/* The plain ones: fail with -1. */
#define WRAP(name, number, params, args)                              \
    int __wrap_##name params                                          \
    {                                                                 \
        return fails(FAULT_##name, number) ? -1 : __real_##name args; \
    }
WRAP(fstat, EIO, (int fd, struct stat *st), (fd, st))
WRAP(stat, EIO, (const char *path, struct stat *st), (path, st))
WRAP(ftruncate, EIO, (int fd, off_t n), (fd, n))
WRAP(flock, EWOULDBLOCK, (int fd, int op), (fd, op))
WRAP(fdatasync, EIO, (int fd), (fd))
WRAP(rename, EACCES, (const char *from, const char *to), (from, to))
WRAP(mkdir, EROFS, (const char *path, mode_t mode), (path, mode))
WRAP(mlock, EPERM, (const void *p, size_t n), (p, n))
WRAP(poll, ENOMEM, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms))

ssize_t __wrap_read(int fd, void *p, size_t n)
{
    return fails(FAULT_read, EIO) ? -1 : __real_read(fd, p, n);
}
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at)
{
    return fails(FAULT_pread, EIO) ? -1 : __real_pread(fd, p, n, at);
}
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
    return fails(FAULT_pwrite, ENOSPC) ? -1 : __real_pwrite(fd, p, n, at);
}
int __wrap_posix_fallocate(int fd, off_t at, off_t n) /* these two return the error */
{
    return fails(FAULT_posix_fallocate, ENOSPC) ? ENOSPC : __real_posix_fallocate(fd, at, n);
}
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
    if (!fails(FAULT_pthread_create, EAGAIN))
        return __real_pthread_create(t, attr, run, arg);
    memset(t, 0xee, sizeof *t); /* undefined then: glibc leaves what it began */
    return EAGAIN;
}

/* The cache folder of the models that are loaded. */
static char cache[400];

static void empty_folder(const char *kind)
{
    char path[900];
    snprintf(path, sizeof path, "%s/%s", cache, kind);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s/%s", cache, kind, e->d_name);
        unlink(path);
    }
    if (d)
        closedir(d);
    snprintf(path, sizeof path, "%s/%s", cache, kind);
    rmdir(path);
}

static void empty_cache(void)
{
    empty_folder("layouts");
    empty_folder("kernels");
    rmdir(cache);
}

/* ---- the runs ---- */

static void one_run(const char *what, int (*load)(struct lathe_err *), enum fault fault, int nth,
                    bool must_fail)
{
    struct lathe_err err = {0};
    long live_before = n_live, map_before = n_map, fd_before = n_fd;
    atomic_store(&countdown, nth);
    atomic_store(&armed, (int)fault);
    int rc = load(&err);
    atomic_store(&armed, -1);
    bool hit = atomic_load(&countdown) <= 0;
    if (rc > 0 || (rc && (err.code != rc || !err.text[0])) || (!hit && rc))
        fail_msg("%s with %s %d failing: code %d, %s", what, fault_names[fault], nth, rc, err.text);
    if (hit && must_fail && !rc)
        fail_msg("%s with %s %d failing: it went on", what, fault_names[fault], nth);
    if (n_live != live_before || n_map != map_before || n_fd != fd_before)
        fail_msg("%s with %s %d failing: left %ld allocations, %ld pages mapped, %ld files open (%s)", what,
                 fault_names[fault], nth, n_live - live_before, n_map - map_before, n_fd - fd_before,
                 err.text);
}

/* Loads often enough that every call failed once; returns how many there are. */
static int all_runs(const char *what, int (*load)(struct lathe_err *), enum fault fault, bool must_fail,
                    bool cold)
{
    for (int nth = 1; nth < 10000; nth++) {
        if (cold)
            empty_cache();
        one_run(what, load, fault, nth, must_fail);
        if (atomic_load(&countdown) > 0)
            return nth - 1;
    }
    fail_msg("%s: more than 10000 calls of %s", what, fault_names[fault]);
    return 0;
}

/* A file that could not be written whole is not there; what was there before stays. */
static int convert_over(const char *from, const char *to, const struct lathe_convert_options *o,
                        struct lathe_err *err)
{
    static const char before[] = "what was there";
    struct stat st;
    gw_save_bytes(to, before, sizeof before);
    int rc = lathe_convert(from, to, o, err);
    if (__real_stat(to, &st) || (rc != 0) != (st.st_size == sizeof before))
        fail_msg("convert: code %d, %lld bytes: %s", rc, (long long)st.st_size, err->text);
    return rc;
}

/* `strict`: there is no way around any failure. */
static void torture(const char *what, int (*load)(struct lathe_err *), bool strict, bool cold)
{
    struct lathe_err err = {0};
    int total = 0;
    if (load(&err)) /* what is made once for the process, and the cache */
        fail_msg("%s: %s", what, err.text);
    print_message("%-12s", what);
    for (int fault = 0; fault < N_FAULT; fault++) {
        int n = all_runs(what, load, (enum fault)fault, strict, cold);
        if (n)
            print_message(" %s %d", fault_names[fault], n);
        total += n;
    }
    print_message("\n");
    assert_true(total >= 3);
}

#endif
