/* lathe list: the models of the local store. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "cli/cli.h"
#include "cli/json.h"
#include "store/store.h"

static json_t *model_json(const char *store, const struct store_model *m)
{
    json_t *files = json_array();
    for (int i = 0; i < m->n_file; i++)
        json_array_append_new(files,
                              json_pack("{so sI ss}", "path", json_sprintf("%s/%s", store, m->file[i].path),
                                        "bytes", (json_int_t)m->file[i].size, "digest", m->file[i].digest));
    return json_pack("{so so sI sI so}", "name", json_text(m->name, strlen(m->name)), "path",
                     json_sprintf("%s/%s", store, m->path), "bytes", (json_int_t)m->size, "time",
                     (json_int_t)m->time, "files", files);
}

static void print_model(const struct store_model *m)
{
    char day[32] = "";
    struct tm tm;
    time_t t = (time_t)m->time;
    if (localtime_r(&t, &tm))
        strftime(day, sizeof day, "%Y-%m-%d", &tm);
    printf("%10.1f MiB  %s  %s\n", (double)m->size / 1048576, day, m->name);
}

int cmd_list(struct cli *c, struct lathe_err *err)
{
    char store[STORE_PATH];
    struct store_model *m;
    int n;
    TRY(store_folder(c->o.store, store, err));
    TRY(store_read(store, &m, &n, err));
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        if (c->o.json)
            json_array_append_new(list, model_json(store, &m[i]));
        else
            print_model(&m[i]);
    if (c->o.json)
        json_print(json_pack("{sssO}", "store", store, "models", list));
    else if (!n)
        printf("no models in %s: get one with lathe pull\n", store);
    json_decref(list);
    store_free(m, n);
    return 0;
}
