/* lathe pull: gets a model into the local store. */
#include <inttypes.h>
#include <stdio.h>
#include "base/progress.h"
#include "cli/cli.h"
#include "cli/json.h"
#ifdef LATHE_HAVE_PULL
#include "store/pull.h"

static void show_progress(void *user, const char *what, double share)
{
    progress_show(user, what, share);
}

static void show_note(void *user, const char *line)
{
    struct progress *bar = user;
    progress_end(bar);
    fprintf(stderr, "lathe: %s\n", line);
}

static int report(const struct cli *c, const char *store, const struct store_model *m)
{
    if (c->o.json)
        return json_print(json_pack("{ss so sI si}", "name", m->name, "path",
                                    json_sprintf("%s/%s", store, m->path), "bytes", (json_int_t)m->size,
                                    "files", m->n_file));
    printf("%s\n%s/%s\n", m->name, store, m->path);
    return 0;
}

int cmd_pull(struct cli *c, struct lathe_err *err)
{
    char store[STORE_PATH];
    struct progress bar = {0};
    struct store_model *m;
    if (c->operands.n != 1)
        return err_set(err, LATHE_E_USAGE, "pull needs to know what to get: lathe pull hf:ORG/REPO:FILE");
    TRY(store_folder(c->o.store, store, err));
    struct pull p = {.spec = c->operands.v[0],
                     .sha256 = c->o.sha256,
                     .store = store,
                     .n_retry = c->o.n_retry,
                     .progress = show_progress,
                     .note = show_note,
                     .user = &bar};
    m = mem_new(sizeof *m);
    int rc = pull_run(&p, m, err);
    progress_end(&bar);
    if (!rc)
        rc = report(c, store, m);
    store_free(m, 1);
    return rc;
}
#else
int cmd_pull(struct cli *c, struct lathe_err *err)
{
    return err_not_built(err, "cannot get models", "libcurl4-openssl-dev with libgnutls28-dev");
}
#endif
