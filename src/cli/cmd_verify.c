/* lathe verify: whether the laid-out weights in the cache folder are what was written. */
#include <inttypes.h>
#include <stdio.h>
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/session.h"

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

int cmd_verify(struct cli *c, struct lathe_err *err)
{
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
