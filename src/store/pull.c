/* Gets a model into the store: finds its files, gets each beside its place, checks it, moves it there, records the model. */
#include "store/pull.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>
#include "store/hub.h"

struct job {
    const struct pull *p;
    struct hub hub;
    struct fetch fetch;
    struct spec spec;
    struct hub_file *file;
    int n_file;
    bool folder;
    char *name;
    char base[2600]; /* of the files, below the store */
    int lock;
    struct lathe_err *err;
};

static void note(const struct job *j, const char *line)
{
    if (j->p->note)
        j->p->note(j->p->user, line);
}

/* ---- what there is to get ---- */

static int plan_hub(struct job *j)
{
    bool is_main = strcmp(j->spec.revision, "main") == 0;
    snprintf(j->base, sizeof j->base, "hf/%s/%s%s%s", j->spec.org, j->spec.repo, is_main ? "" : "@",
             is_main ? "" : j->spec.revision);
    return hub_files(&j->hub, &j->fetch, &j->spec, &j->file, &j->n_file, &j->name, &j->folder, j->err);
}

static int plan_url(struct job *j)
{
    const char *url = j->spec.url;
    char file[256];
    spec_url_file(url, file, sizeof file);
    j->file = mem_new(sizeof *j->file);
    j->file->path = mem_dup(file, strlen(file));
    j->n_file = 1;
    j->name = mem_dup(url, strcspn(url, "?#"));
    snprintf(j->base, sizeof j->base, "url/%016" PRIx64, (uint64_t)XXH3_64bits(j->name, strlen(j->name)));
    return 0;
}

static int take_sha256(struct job *j)
{
    char digest[DIGEST_CHARS];
    if (!j->p->sha256)
        return 0;
    if (!digest_read(j->p->sha256, digest) || strncmp(digest, "sha256:", 7) != 0)
        return err_set(j->err, LATHE_E_USAGE, "--sha256 '%.80s' is no SHA-256: 64 hexadecimal digits",
                       j->p->sha256);
    if (j->n_file != 1)
        return err_set(j->err, LATHE_E_USAGE, "--sha256 is of one file, but %.200s has %d", j->name,
                       j->n_file);
    if (strncmp(j->file->digest, "sha256:", 7) == 0 && strcmp(j->file->digest, digest) != 0)
        return err_set(j->err, LATHE_E_FILE, "%.200s: the hub says that its digest is %s, --sha256 says %s",
                       j->name, j->file->digest, digest);
    snprintf(j->file->digest, sizeof j->file->digest, "%s", digest);
    return 0;
}

/* ---- one file ---- */

static void path_of(const struct job *j, int i, const char *suffix, char out[STORE_PATH])
{
    snprintf(out, STORE_PATH, "%s/%s/%s%s", j->p->store, j->base, j->file[i].path, suffix);
}

static int digest_of(const struct job *j, const char *path, const char *like, char out[DIGEST_CHARS])
{
    return digest_file(path, like, out, j->p->progress, j->p->user, j->err);
}

/* It is there already, and is what it should be. Without a digest to compare with it is got again. */
static bool is_there(const struct job *j, int i)
{
    char path[STORE_PATH], digest[DIGEST_CHARS];
    struct stat st;
    path_of(j, i, "", path);
    return j->file[i].digest[0] && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           (!j->file[i].size || (uint64_t)st.st_size == j->file[i].size) &&
           !digest_of(j, path, j->file[i].digest, digest) && strcmp(digest, j->file[i].digest) == 0;
}

static int check_part(struct job *j, int i, const char *part)
{
    char digest[DIGEST_CHARS];
    TRY(digest_of(j, part, j->file[i].digest, digest));
    if (!j->file[i].digest[0]) {
        snprintf(j->file[i].digest, sizeof j->file[i].digest, "%s", digest);
        return 0;
    }
    if (strcmp(digest, j->file[i].digest) == 0)
        return 0;
    unlink(part);
    return err_set(j->err, LATHE_E_FILE,
                   "%.150s: its digest is %s, but should be %s; it was damaged on the way or is another "
                   "file, and is deleted",
                   j->file[i].path, digest, j->file[i].digest);
}

static int get_file(struct job *j, int i)
{
    char path[STORE_PATH], part[STORE_PATH], url[4096];
    struct hub_file *f = &j->file[i];
    path_of(j, i, "", path);
    path_of(j, i, ".part", part);
    TRY(store_make_folders(path, j->err));
    if (f->size || !j->spec.hub) {
        struct fetch_file want = {
            .url = j->spec.url, .what = f->path, .part = part, .size = f->size, .checked = f->digest[0]};
        if (j->spec.hub) {
            hub_url(&j->hub, &j->spec, f->path, url, sizeof url);
            want.url = url;
        }
        TRY(fetch_file(&j->fetch, &want, j->err));
    } else { /* an empty file has nothing to ask for */
        int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0)
            return err_set(j->err, LATHE_E_IO, "%.200s cannot be written: %s", part, strerror(errno));
        close(fd);
    }
    TRY(check_part(j, i, part));
    if (rename(part, path))
        return err_set(j->err, LATHE_E_IO, "%.200s cannot be moved to its place: %s", part, strerror(errno));
    return 0;
}

/* ---- all of them ---- */

static void waiting(void *user)
{
    note(user, "another lathe pull gets it; waiting for that one");
}

/* A disk that is too small is found before anything is got. */
static int check_room(struct job *j, const bool *there)
{
    uint64_t need = 0;
    struct statvfs fs;
    struct stat st;
    char path[STORE_PATH];
    for (int i = 0; i < j->n_file; i++) {
        path_of(j, i, ".part", path);
        uint64_t have = stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
        if (!there[i] && j->file[i].size > have)
            need += j->file[i].size - have;
    }
    snprintf(path, sizeof path, "%s/%s", j->p->store, j->base);
    if (statvfs(path, &fs) == 0 && need > (uint64_t)fs.f_bavail * fs.f_frsize)
        return err_set(j->err, LATHE_E_IO, "%.150s needs %.1f MiB more, but %.150s has room for %.1f MiB",
                       j->name, (double)need / 1048576, j->p->store,
                       (double)fs.f_bavail * (double)fs.f_frsize / 1048576);
    return 0;
}

static int get_all(struct job *j)
{
    bool *there = mem_new((size_t)j->n_file);
    char line[700];
    int rc = 0;
    for (int i = 0; i < j->n_file; i++)
        there[i] = is_there(j, i);
    rc = check_room(j, there);
    for (int i = 0; !rc && i < j->n_file; i++) {
        if (there[i])
            continue;
        snprintf(line, sizeof line, "getting %.300s (%.1f MiB)", j->file[i].path,
                 (double)j->file[i].size / 1048576);
        if (j->file[i].size)
            note(j, line);
        rc = get_file(j, i);
    }
    free(there);
    return rc;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct hub_file *)a)->path, ((const struct hub_file *)b)->path);
}

static int record(struct job *j, struct store_model *out)
{
    char path[STORE_PATH];
    struct stat st;
    *out = (struct store_model){.name = j->name, .time = (int64_t)time(NULL)};
    j->name = NULL;
    out->file = mem_new((size_t)j->n_file * sizeof *out->file);
    for (int i = 0; i < j->n_file; i++) {
        struct store_file *f = &out->file[out->n_file++];
        path_of(j, i, "", path);
        f->path = mem_dup(path + strlen(j->p->store) + 1, strlen(path) - strlen(j->p->store) - 1);
        f->size = stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
        snprintf(f->digest, sizeof f->digest, "%s", j->file[i].digest);
        out->size += f->size;
    }
    const char *opened = j->folder ? j->base : out->file[0].path;
    out->path = mem_dup(opened, strlen(opened));
    return store_put(j->p->store, out, j->err);
}

int pull_run(const struct pull *p, struct store_model *out, struct lathe_err *err)
{
    char path[STORE_PATH];
    struct lathe_err own = {0};
    struct job j = {.p = p, .lock = -1, .err = err ? err : &own};
    int rc;
    *out = (struct store_model){0};
    TRY_GOTO(spec_read(p->spec, &j.spec, j.err));
    TRY_GOTO(hub_open(&j.hub, j.err));
    j.fetch = (struct fetch){
        j.hub.token[0] ? j.hub.token : NULL, j.hub.origin, p->n_retry, p->progress, p->note, p->user};
    TRY_GOTO(j.spec.hub ? plan_hub(&j) : plan_url(&j));
    TRY_GOTO(take_sha256(&j));
    qsort(j.file, (size_t)j.n_file, sizeof *j.file, by_path);
    path_of(&j, 0, "", path);
    TRY_GOTO(store_lock(p->store, path + strlen(p->store) + 1, true, waiting, &j, &j.lock, j.err));
    TRY_GOTO(get_all(&j));
    rc = record(&j, out);
done:
    if (j.lock >= 0)
        close(j.lock);
    hub_files_free(j.file, j.n_file);
    free(j.name);
    return rc;
}
