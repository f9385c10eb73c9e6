/* lathe key: makes keys for clients of serve. */
#include <stdio.h>
#include <string.h>
#include "cli/json.h"
#include "cli/cli.h"
#ifdef LATHE_HAVE_SERVER
#include "server/keys.h"

static void print(const struct buf *secret, const struct buf *line)
{
    printf("key:  %s\nline: %s\n", secret->p, line->p);
    if (fflush(stdout) == 0)
        fputs("lathe: give the key to the client, it is kept nowhere; add the line to the file of serve "
              "--keys\n",
              stderr);
}

static int make(struct cli *c, const char *name, struct lathe_err *err)
{
    struct buf roles, secret, line;
    const struct key_limits limits = {c->o.key_requests, c->o.key_tokens, c->o.key_concurrency};
    buf_init(&roles, 4096);
    buf_init(&secret, 4096);
    buf_init(&line, 4096);
    for (int i = 0; i < c->o.role.n; i++)
        buf_printf(&roles, "%s%s", i ? "," : "", c->o.role.v[i]);
    int rc = key_make(name, roles.n ? roles.p : "infer", &limits, &secret, &line, err);
    if (!rc && c->o.json)
        json_print(json_pack("{ss ss}", "key", secret.p, "line", line.p));
    else if (!rc)
        print(&secret, &line);
    buf_free(&roles);
    buf_free(&secret);
    buf_free(&line);
    return rc;
}

int cmd_key(struct cli *c, struct lathe_err *err)
{
    if (c->operands.n == 0 || strcmp(c->operands.v[0], "new") != 0)
        return err_set(err, LATHE_E_USAGE, "key '%.40s' is not new: lathe key new NAME",
                       c->operands.n ? c->operands.v[0] : "");
    if (c->operands.n < 2)
        return err_set(err, LATHE_E_USAGE, "the key has no name: lathe key new NAME");
    return make(c, c->operands.v[1], err);
}
#else
int cmd_key(struct cli *c, struct lathe_err *err)
{
    return err_not_built(err, "has no server", "libmicrohttpd-dev with libgnutls28-dev");
}
#endif
