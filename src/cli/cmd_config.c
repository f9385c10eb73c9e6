/* lathe config: checks and shows the configuration of serve. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/json.h"
#include "cli/live.h"
#ifdef LATHE_HAVE_SERVER
#include "cli/serve_live.h"
#endif

#define FILE_NAME "lathe.yaml"

enum { TEXT_MAX = 1 << 20 };

/* The file that is meant: the operand, --config, or lathe.yaml of this folder, which need not be there. */
static const char *path_of(const struct cli *c, bool must_be)
{
    if (c->operands.n > 1)
        return c->operands.v[1];
    if (c->o.config)
        return c->o.config;
    FILE *f = fopen(FILE_NAME, "re");
    if (f)
        fclose(f);
    return f || must_be ? FILE_NAME : NULL;
}

/* What the configuration says of addresses, keys and certificates. */
static int check_named(const struct cli *c, struct lathe_err *err)
{
#ifdef LATHE_HAVE_SERVER
    struct server_config config;
    serve_config(&c->o, &config);
    TRY(server_check(&config, err));
#endif
    return 0;
}

static int check(struct cli *c, struct lathe_err *err)
{
    const char *path = path_of(c, true);
    TRY(cli_read(c, path, err));
    TRY(check_named(c, err));
    if (c->o.json)
        return json_print(json_pack("{so si}", "file", json_text(path, strlen(path)), "settings", c->file.n));
    printf("%s: %d value%s, all good\n", path, c->file.n, c->file.n == 1 ? "" : "s");
    return 0;
}

/* A value's text as JSON; one that is no UTF-8 as a string with replacements. */
static json_t *value_json(const struct buf *text)
{
    json_t *v = json_loadb(text->p, text->n, JSON_DECODE_ANY, NULL);
    return v ? v : json_text(text->p, text->n);
}

static void show_row(const struct cli *c, const struct opt_row *row, json_t *json)
{
    struct buf value, origin;
    const char *effect = live_row(row) ? "live" : "restart";
    buf_init(&value, TEXT_MAX);
    buf_init(&origin, TEXT_MAX);
    opt_value_text(row, &c->o, &value);
    live_origin_text(c, row, &origin);
    if (json)
        json_object_set_new(json, row->name,
                            json_pack("{so so ss ss}", "value", value_json(&value), "origin",
                                      json_text(origin.p, origin.n), "change", effect, "environment",
                                      row->env));
    else if (strcmp(value.p, "null") == 0)
        printf("# %s: not set (%s)\n", row->name, effect);
    else
        printf("%s: %s  # %s (%s)\n", row->name, value.p, origin.p, effect);
    buf_free(&value);
    buf_free(&origin);
}

/* Flags that are not given have no default row and are false. */
static int show(struct cli *c, struct lathe_err *err)
{
    const struct opt_command keys = cli_file_command();
    const char *path = path_of(c, false);
    if (path)
        TRY(cli_read(c, path, err));
    json_t *json = c->o.json ? json_object() : NULL;
    for (int i = 0; i < cli_table.n_row; i++)
        if (cli_table.row[i].group & keys.groups &&
            (c->o.effective || c->origin[i].source != OPT_FROM_DEFAULT))
            show_row(c, &cli_table.row[i], json);
    return json ? json_print(json) : 0;
}

int cmd_config(struct cli *c, struct lathe_err *err)
{
    const char *verb = c->operands.n ? c->operands.v[0] : "";
    if (strcmp(verb, "check") == 0)
        return check(c, err);
    if (strcmp(verb, "show") == 0)
        return show(c, err);
    return err_set(err, LATHE_E_USAGE, "config '%.40s' is neither check nor show: lathe config check FILE",
                   verb);
}
