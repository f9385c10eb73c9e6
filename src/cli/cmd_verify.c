/* lathe verify: whether the files of a model in the store are what was got, and laid-out weights what was written. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/session.h"
#include "store/store.h"

static int report(const struct cli *c, const char *path, uint64_t n_bytes)
{
    if (c->o.json)
        return json_print(
            json_pack("{ss* sI sb}", "path", path, "bytes", (json_int_t)n_bytes, "kept", path != NULL));
    if (path)
        printf("%s: %" PRIu64 " MiB, intact\n", path, n_bytes >> 20);
    else
        printf("no laid-out weights are kept: they were laid out in memory\n");
    return 0;
}

static void show_progress(void *user, const char *what, double share)
{
    progress_show(user, what, share);
}

static int check_files(const char *store, const struct store_model *m, struct progress *bar,
                       struct lathe_err *err)
{
    char path[STORE_PATH], digest[DIGEST_CHARS];
    for (int i = 0; i < m->n_file; i++) {
        snprintf(path, sizeof path, "%.3600s/%.500s", store, m->file[i].path);
        TRY(digest_file(path, m->file[i].digest, digest, show_progress, bar, err));
        if (strcmp(digest, m->file[i].digest) != 0)
            return err_set(err, LATHE_E_FILE,
                           "%.200s is damaged: its digest is %s, not %s; lathe pull gets it again", path,
                           digest, m->file[i].digest);
    }
    return 0;
}

static int verify_stored(const struct cli *c, const char *name, struct lathe_err *err)
{
    char store[STORE_PATH];
    struct store_model *m;
    struct progress bar = {0};
    int n, which = -1;
    TRY(store_folder(c->o.store, store, err));
    TRY(store_read(store, &m, &n, err));
    int rc = store_find(m, n, name, &which, err);
    if (!rc && which < 0)
        rc = err_set(err, LATHE_E_FILE, "%.200s is not in the store: lathe list shows what is", name);
    if (!rc)
        rc = check_files(store, &m[which], &bar, err);
    progress_end(&bar);
    if (!rc && c->o.json)
        json_print(json_pack("{ss sI si}", "name", m[which].name, "bytes", (json_int_t)m[which].size, "files",
                             m[which].n_file));
    else if (!rc)
        printf("%s: %d file%s, %" PRIu64 " MiB, intact\n", m[which].name, m[which].n_file,
               m[which].n_file > 1 ? "s" : "", m[which].size >> 20);
    store_free(m, n);
    return rc;
}

int cmd_verify(struct cli *c, struct lathe_err *err)
{
    if (c->operands.n)
        return verify_stored(c, c->operands.v[0], err);
    struct session s = {0};
    const char *path;
    uint64_t n_bytes;
    int rc = session_open(&s, &c->o, err);
    if (rc == 0)
        rc = lathe_model_verify(s.model, &path, &n_bytes, err);
    if (rc == 0)
        rc = report(c, path, n_bytes);
    session_close(&s);
    return rc;
}
