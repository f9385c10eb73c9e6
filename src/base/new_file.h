/* A file that appears under its name complete or not at all, whatever happens on the way: no space, a signal, a crash. */
#ifndef LATHE_BASE_NEW_FILE_H
#define LATHE_BASE_NEW_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct new_file {
    int fd;
    const char *path;     /* the caller's, has to live as long */
    char temporary[4200]; /* its name until it has its own; "" while it has none */
    uint64_t n_bytes;
    bool kept; /* the temporary one is the caller's, and stays if the file does not get its name */
};

/* n_bytes are reserved, so that a disk that is too small is found before anything is computed. IO names path and why. */
int new_file_open(struct new_file *f, const char *path, uint64_t n_bytes, struct lathe_err *err);
/* Goes on with a file that was begun at `temporary`, of which the caller knows what is in it: n_bytes of `f` are his to set. */
int new_file_continue(struct new_file *f, const char *path, const char *temporary, uint64_t n_bytes,
                      struct lathe_err *err);
int new_file_write(struct new_file *f, const void *p, size_t n, struct lathe_err *err);
/* Gives the file its name if `rc` is 0 and the disk has taken all; otherwise nothing of it is left. Returns rc, or IO. */
int new_file_close(struct new_file *f, int rc, struct lathe_err *err);

/* Gives a file or folder that is whole another name on the same file system, which is on the disk when it returns. IO. */
int new_file_move(const char *from, const char *to, struct lathe_err *err);
/* Of the folder that a file is in. */
void new_file_folder(const char *path, char *out, size_t n);
/* A file to read and write in `folder` that never has a name and goes with its descriptor, n_bytes reserved. The descriptor, or the
 * negative of an errno. */
int new_file_nameless(const char *folder, uint64_t n_bytes);
/* Such a file, mapped: *out is zero, and goes when it is unmapped. `what` it is for: IO names it and the folder. */
int new_file_map(const char *folder, uint64_t n_bytes, const char *what, void **out, struct lathe_err *err);
/* One that is open, or the negative of an errno; the descriptor is closed. */
int new_file_map_of(int fd, const char *folder, uint64_t n_bytes, const char *what, void **out,
                    struct lathe_err *err);
#endif
