/* Kinds of tensors: names without the number of the layer and what they end in. */
#include "cli/quantize_kinds.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAX_KIND = sizeof((struct quantize_kinds *)0)->v / sizeof(struct quantize_kind) };

static void kind_of(const char *tensor, char *out, size_t n)
{
    const char *p = tensor, *end;
    if (strncmp(p, "blk.", 4) == 0 && p[4 + strspn(p + 4, "0123456789")] == '.')
        p += 5 + strspn(p + 4, "0123456789");
    end = strrchr(p, '.');
    bool weight = end && strcmp(end, ".weight") == 0;
    snprintf(out, n, "%.*s", (int)(weight ? end - p : (int)strlen(p)), p);
}

void quantize_kinds_add(struct quantize_kinds *k, const char *tensor, const char *type)
{
    char name[sizeof k->v[0].name];
    int i = 0;
    kind_of(tensor, name, sizeof name);
    while (i < k->n && (strcmp(k->v[i].name, name) != 0 || strcmp(k->v[i].type, type) != 0))
        i++;
    if (i == MAX_KIND)
        return;
    if (i == k->n) {
        snprintf(k->v[i].name, sizeof k->v[i].name, "%s", name);
        snprintf(k->v[i].type, sizeof k->v[i].type, "%s", type);
        k->v[k->n++].n = 0;
    }
    k->v[i].n++;
}

/* Whether no row before i has its name. */
static bool is_first(const struct quantize_kinds *k, int i)
{
    for (int j = 0; j < i; j++)
        if (strcmp(k->v[j].name, k->v[i].name) == 0)
            return false;
    return true;
}

void quantize_kinds_print(const struct quantize_kinds *k)
{
    for (int i = 0; i < k->n; i++) {
        if (!is_first(k, i) || strcmp(k->v[i].type, "F32") == 0)
            continue;
        printf("%-20s", k->v[i].name);
        for (int j = i; j < k->n; j++)
            if (strcmp(k->v[j].name, k->v[i].name) == 0)
                printf("%s%d %s", j == i ? " " : ", ", k->v[j].n, k->v[j].type);
        printf("\n");
    }
}

json_t *quantize_kinds_json(const struct quantize_kinds *k)
{
    json_t *all = json_object();
    for (int i = 0; i < k->n; i++) {
        if (is_first(k, i))
            json_object_set_new(all, k->v[i].name, json_object());
        json_object_set_new(json_object_get(all, k->v[i].name), k->v[i].type, json_integer(k->v[i].n));
    }
    return all;
}
