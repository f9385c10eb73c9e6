/* lathe rm: removes a model from the local store. */
#include <stdio.h>
#include "cli/cli.h"
#include "cli/json.h"
#include "store/store.h"

static int report(const struct cli *c, const struct store_model *m)
{
    if (c->o.json)
        return json_print(json_pack("{ss sI}", "name", m->name, "bytes", (json_int_t)m->size));
    printf("%s: removed, %.1f MiB\n", m->name, (double)m->size / 1048576);
    return 0;
}

int cmd_rm(struct cli *c, struct lathe_err *err)
{
    char store[STORE_PATH];
    struct store_model *m;
    int n, which = -1;
    if (c->operands.n != 1)
        return err_set(err, LATHE_E_USAGE, "rm needs the model to remove: lathe list shows them");
    TRY(store_folder(c->o.store, store, err));
    TRY(store_read(store, &m, &n, err));
    int rc = store_find(m, n, c->operands.v[0], &which, err);
    if (!rc && which < 0)
        rc = err_set(err, LATHE_E_FILE, "%.200s is not in the store: lathe list shows what is",
                     c->operands.v[0]);
    if (!rc)
        rc = store_remove(store, m, n, which, err);
    if (!rc)
        rc = report(c, &m[which]);
    store_free(m, n);
    return rc;
}
