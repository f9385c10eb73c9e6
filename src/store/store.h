/* The local store of models that were got: files, and for each model a record of what belongs to it.
 *
 *     STORE/hf/ORG/REPO[@REVISION]/FILE ...     files of a hub, as the repository has them
 *     STORE/url/KEY/FILE                        files of other URLs
 *     STORE/models/KEY.json                     {"name", "path", "time", "files": [{"path", "size", "digest"}]}
 *
 * KEY is a digest of the name. Paths in a record are below STORE. A record appears when all its files are there and
 * checked; files that no record has are of a pull that goes on or was left (.part). */
#ifndef LATHE_STORE_STORE_H
#define LATHE_STORE_STORE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "store/digest.h"

enum { STORE_PATH = 4200, STORE_MAX_FILES = 1024 };

struct store_file {
    char *path; /* below the store */
    uint64_t size;
    char digest[DIGEST_CHARS];
};

struct store_model {
    char *name;   /* "hf:ORG/REPO:FILE" or a URL */
    char *path;   /* of what is to be opened, below the store: a file or a folder */
    int64_t time; /* of the pull, seconds since 1970 */
    uint64_t size;
    struct store_file *file;
    int n_file;
};

/* Path of the store: dir, or $XDG_DATA_HOME/lathe/models or ~/.local/share/lathe/models. USAGE if there is none. */
int store_folder(const char *dir, char out[STORE_PATH], struct lathe_err *err);
/* Makes the folders on the way to a file. */
int store_make_folders(const char *path, struct lathe_err *err);

/* All models, by name; what is no record is passed over. *out is the caller's, for store_free. */
int store_read(const char *store, struct store_model **out, int *n, struct lathe_err *err);
void store_free(struct store_model *m, int n);
/* The record of a model; replaces an earlier one. */
int store_put(const char *store, const struct store_model *m, struct lathe_err *err);
/* Its record, and the files that no other record has. */
int store_remove(const char *store, const struct store_model *all, int n, int which, struct lathe_err *err);

/* The model that a user means: its name, or its file, repository or end of it if only one has that. -1 if there is none,
 * USAGE if there are several. */
int store_find(const struct store_model *all, int n, const char *what, int *which, struct lathe_err *err);
/* Holds the folder that a file of the store belongs to, until the descriptor is closed. BUSY if somebody has it and not
 * `wait`; `waiting` is called before a wait, and may be NULL. */
int store_lock(const char *store, const char *path, bool wait, void (*waiting)(void *user), void *user,
               int *fd, struct lathe_err *err);
/* If `model` is no file and names a model of the store: its path in `out`. Otherwise out is "". FILE if it can only be
 * meant as one of the store and is not there. */
int store_resolve(const char *dir, const char *model, char out[STORE_PATH], struct lathe_err *err);
#endif
