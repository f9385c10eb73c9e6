/* The local store of models. */
#include "store/store.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/mem.h"
#include "base/new_file.h"
#include "store/spec.h"

enum { MAX_MODELS = 100000 };

int store_folder(const char *dir, char out[STORE_PATH], struct lathe_err *err)
{
    const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int n;
    if (dir && *dir)
        n = snprintf(out, STORE_PATH, "%s", dir);
    else if (xdg && xdg[0] == '/')
        n = snprintf(out, STORE_PATH, "%s/lathe/models", xdg);
    else if (home && home[0] == '/')
        n = snprintf(out, STORE_PATH, "%s/.local/share/lathe/models", home);
    else
        return err_set(err, LATHE_E_USAGE,
                       "there is no place for models: give one with --store or in LATHE_STORE");
    if (n >= STORE_PATH - 1000)
        return err_set(err, LATHE_E_USAGE, "%.100s... is too long a path for a store", out);
    return 0;
}

int store_make_folders(const char *path, struct lathe_err *err)
{
    char folder[STORE_PATH];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *p = folder + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(folder, 0755) && errno != EEXIST)
            return err_set(err, LATHE_E_IO, "%.200s cannot be made: %s", folder, strerror(errno));
        *p = '/';
    }
    return 0;
}

static void record_path(const char *store, const char *name, char out[STORE_PATH])
{
    snprintf(out, STORE_PATH, "%s/models/%016" PRIx64 ".json", store,
             (uint64_t)XXH3_64bits(name, strlen(name)));
}

/* ---- reading ---- */

static void model_free(struct store_model *m)
{
    for (int i = 0; i < m->n_file; i++)
        free(m->file[i].path);
    free(m->file);
    free(m->name);
    free(m->path);
}

void store_free(struct store_model *m, int n)
{
    for (int i = 0; i < n; i++)
        model_free(&m[i]);
    free(m);
}

static bool read_record(const json_t *record, struct store_model *out)
{
    const char *name = json_string_value(json_object_get(record, "name")),
               *path = json_string_value(json_object_get(record, "path"));
    const json_t *files = json_object_get(record, "files");
    size_t n = json_array_size(files);
    *out = (struct store_model){0};
    if (!name || !path || !spec_is_safe_path(path) || n < 1 || n > STORE_MAX_FILES)
        return false;
    out->name = mem_dup(name, strlen(name));
    out->path = mem_dup(path, strlen(path));
    out->time = json_integer_value(json_object_get(record, "time"));
    out->file = mem_new(n * sizeof *out->file);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(files, i);
        const char *p = json_string_value(json_object_get(one, "path")),
                   *digest = json_string_value(json_object_get(one, "digest"));
        struct store_file *f = &out->file[i];
        if (!p || !digest || !spec_is_safe_path(p) || !digest_read(digest, f->digest))
            return false;
        f->path = mem_dup(p, strlen(p));
        f->size = (uint64_t)json_integer_value(json_object_get(one, "size"));
        out->size += f->size;
        out->n_file++;
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct store_model *)a)->name, ((const struct store_model *)b)->name);
}

int store_read(const char *store, struct store_model **out, int *n, struct lathe_err *err)
{
    char path[STORE_PATH + 300];
    snprintf(path, sizeof path, "%s/models", store);
    DIR *d = opendir(path);
    *out = NULL;
    *n = 0;
    if (!d && errno == ENOENT)
        return 0;
    if (!d)
        return err_set(err, LATHE_E_IO, "%.200s cannot be read: %s", path, strerror(errno));
    for (struct dirent *e; *n < MAX_MODELS && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len < 6 || strcmp(e->d_name + len - 5, ".json") != 0)
            continue;
        snprintf(path, sizeof path, "%s/models/%s", store, e->d_name);
        json_t *record = json_load_file(path, 0, NULL);
        *out = mem_grow(*out, (size_t)(*n + 1) * sizeof **out);
        if (read_record(record, &(*out)[*n]))
            (*n)++;
        else
            model_free(&(*out)[*n]);
        json_decref(record);
    }
    closedir(d);
    if (*n)
        qsort(*out, (size_t)*n, sizeof **out, by_name);
    return 0;
}

/* ---- the lock ---- */

/* hf/ORG/REPO of hf/ORG/REPO/FILE, url/KEY of url/KEY/FILE. */
static int base_len(const char *path)
{
    int n_slash = strncmp(path, "hf/", 3) == 0 ? 3 : 2, i = 0;
    while (path[i] && (path[i] != '/' || --n_slash))
        i++;
    return i;
}

/* Who removed the folder removed the file that others wait for, too: theirs is then none. */
static bool is_still(int fd, const char *path)
{
    struct stat mine, now;
    return fstat(fd, &mine) == 0 && stat(path, &now) == 0 && mine.st_ino == now.st_ino &&
           mine.st_dev == now.st_dev;
}

int store_lock(const char *store, const char *path, bool wait, void (*waiting)(void *user), void *user,
               int *fd, struct lathe_err *err)
{
    char file[STORE_PATH];
    snprintf(file, sizeof file, "%s/%.*s/.lock", store, base_len(path), path);
    for (;;) {
        TRY(store_make_folders(file, err));
        *fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (*fd < 0)
            return err_set(err, LATHE_E_IO, "%.200s cannot be made: %s", file, strerror(errno));
        if (flock(*fd, LOCK_EX | LOCK_NB)) {
            if (!wait) {
                close(*fd);
                *fd = -1;
                return err_set(err, LATHE_E_BUSY, "%.*s is being got by another lathe pull", base_len(path),
                               path);
            }
            if (waiting)
                waiting(user);
            while (flock(*fd, LOCK_EX) && errno == EINTR)
                ;
        }
        if (is_still(*fd, file))
            return 0;
        close(*fd);
    }
}

/* ---- writing ---- */

int store_put(const char *store, const struct store_model *m, struct lathe_err *err)
{
    char path[STORE_PATH];
    struct new_file f;
    json_t *files = json_array();
    for (int i = 0; i < m->n_file; i++)
        json_array_append_new(files, json_pack("{ss sI ss}", "path", m->file[i].path, "size",
                                               (json_int_t)m->file[i].size, "digest", m->file[i].digest));
    json_t *record = json_pack("{ss ss sI so}", "name", m->name, "path", m->path, "time", (json_int_t)m->time,
                               "files", files);
    char *text = json_dumps(record, JSON_INDENT(1));
    json_decref(record);
    record_path(store, m->name, path);
    int rc = text ? store_make_folders(path, err)
                  : err_set(err, LATHE_E_FAILED, "%.200s cannot be recorded", m->name);
    if (!rc)
        rc = new_file_open(&f, path, 0, err);
    if (!rc)
        rc = new_file_close(&f, new_file_write(&f, text, strlen(text), err), err);
    free(text);
    return rc;
}

static bool is_shared(const struct store_model *all, int n, int which, const char *path)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; i != which && k < all[i].n_file; k++)
            if (strcmp(all[i].file[k].path, path) == 0)
                return true;
    return false;
}

/* The folders that have become empty go too, up to the store. */
static void remove_empty(const char *store, const char *path)
{
    char folder[STORE_PATH];
    snprintf(folder, sizeof folder, "%s/%s", store, path);
    for (char *slash; (slash = strrchr(folder, '/')) && (size_t)(slash - folder) > strlen(store);) {
        *slash = 0;
        char lock[STORE_PATH + 8];
        snprintf(lock, sizeof lock, "%s/.lock", folder);
        unlink(lock);
        if (rmdir(folder))
            return;
    }
}

static int remove_files(const char *store, const struct store_model *all, int n, int which,
                        struct lathe_err *err)
{
    char path[STORE_PATH];
    const struct store_model *m = &all[which];
    record_path(store, m->name, path); /* first, so that no record names files that are gone */
    if (unlink(path) && errno != ENOENT)
        return err_set(err, LATHE_E_IO, "%.200s cannot be removed: %s", path, strerror(errno));
    for (int i = 0; i < m->n_file; i++) {
        if (is_shared(all, n, which, m->file[i].path))
            continue;
        snprintf(path, sizeof path, "%s/%s", store, m->file[i].path);
        if (unlink(path) && errno != ENOENT)
            return err_set(err, LATHE_E_IO, "%.200s cannot be removed: %s", path, strerror(errno));
        remove_empty(store, m->file[i].path);
    }
    return 0;
}

int store_remove(const char *store, const struct store_model *all, int n, int which, struct lathe_err *err)
{
    int lock;
    TRY(store_lock(store, all[which].file[0].path, false, NULL, NULL, &lock, err));
    int rc = remove_files(store, all, n, which, err);
    close(lock);
    return rc;
}

/* ---- finding ---- */

/* What of a name may stand for it: behind each of these characters it may begin. */
static bool is_end_of(const char *name, const char *what)
{
    size_t n = strlen(name), w = strlen(what);
    for (int cut = 0; cut < 2; cut++, n -= 5) {
        if (w <= n && strncmp(name + n - w, what, w) == 0 && (w == n || strchr("/:", name[n - w - 1])))
            return true;
        if (n < 5 || strcasecmp(name + n - 5, ".gguf") != 0)
            break;
    }
    return false;
}

/* hf:ORG/REPO for the only file of it, hf:ORG/REPO:PART for the only one with it in its name. */
static bool is_part_of(const char *name, const char *what)
{
    const char *colon = strncmp(what, "hf:", 3) == 0 ? strchr(what + 3, ':') : NULL;
    size_t n = colon ? (size_t)(colon - what) : strlen(what);
    if (strncmp(name, what, n) != 0 || name[n] != ':')
        return false;
    return !colon || strcasestr(name + n + 1, colon + 1);
}

/* The repository alone: REPO or ORG/REPO of hf:ORG/REPO:FILE. */
static bool is_repository_of(const char *name, const char *what)
{
    char repository[300];
    const char *colon = strncmp(name, "hf:", 3) == 0 ? strchr(name + 3, ':') : NULL;
    if (!colon)
        return false;
    snprintf(repository, sizeof repository, "%.*s", (int)(colon - name), name);
    return is_end_of(repository, what);
}

int store_find(const struct store_model *all, int n, const char *what, int *which, struct lathe_err *err)
{
    int n_found = 0, first = -1, second = -1;
    *which = -1;
    for (int i = 0; i < n && *what; i++) {
        if (strcmp(all[i].name, what) == 0) {
            *which = i;
            return 0;
        }
        if (is_end_of(all[i].name, what) || is_part_of(all[i].name, what) ||
            is_repository_of(all[i].name, what)) {
            second = first;
            first = i;
            n_found++;
        }
    }
    if (n_found > 1)
        return err_set(err, LATHE_E_USAGE, "%.100s may be %.120s or %.120s%s: name one", what,
                       all[second].name, all[first].name, n_found > 2 ? " or another" : "");
    *which = first;
    return 0;
}

int store_resolve(const char *dir, const char *model, char out[STORE_PATH], struct lathe_err *err)
{
    char store[STORE_PATH];
    struct store_model *all;
    struct stat st;
    bool named = spec_looks_like(model);
    int n, which = -1;
    out[0] = 0;
    if (!named && (stat(model, &st) == 0 || model[0] == '/' || model[0] == '.'))
        return 0;
    int rc = store_folder(dir, store, named ? err : NULL);
    if (rc)
        return named ? rc : 0;
    TRY(store_read(store, &all, &n, err));
    rc = store_find(all, n, model, &which, err);
    if (!rc && which >= 0)
        snprintf(out, STORE_PATH, "%.3600s/%.500s", store, all[which].path);
    store_free(all, n);
    if (!rc && which < 0 && named)
        return err_set(err, LATHE_E_FILE, "%.200s is not in the store: get it with lathe pull %.200s", model,
                       model);
    return rc;
}
