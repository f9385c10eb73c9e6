/* lathe version: the version, the instruction sets in use, and what this build has. */
#include <stdio.h>
#include "cli/cli.h"
#include "cli/json.h"

/* Whether a macro is defined, as 1. */
#define SPELL(x) #x
#define IS_DEFINED(macro) (SPELL(macro)[0] == '1')

/* What comes with libraries that a build goes without. */
static const struct part {
    const char *name, *key;
    bool has;
} parts[] = {
    {"server (serve, key)", "server", IS_DEFINED(LATHE_HAVE_SERVER)},
    {"downloads (pull)", "pull", IS_DEFINED(LATHE_HAVE_PULL)},
    {"configuration files", "config", IS_DEFINED(LATHE_HAVE_YAML)},
    {"line editing", "edit", IS_DEFINED(LATHE_HAVE_EDIT)},
    {"caches and NUMA nodes", "topology", IS_DEFINED(LATHE_HAVE_HWLOC)},
};
enum { N_PART = sizeof parts / sizeof *parts };

static void print_parts(const char *title, bool has)
{
    const char *between = title;
    for (int i = 0; i < N_PART; i++)
        if (parts[i].has == has) {
            printf("%s%s", between, parts[i].name);
            between = ", ";
        }
    if (between != title)
        printf("\n");
}

static int print_json(void)
{
    json_t *has = json_object();
    for (int i = 0; i < N_PART; i++)
        json_object_set_new(has, parts[i].key, json_boolean(parts[i].has));
    return json_print(json_pack("{ss ss sb so}", "version", lathe_version(), "isa", lathe_isa(), "edge",
                                IS_DEFINED(LATHE_EDGE), "parts", has));
}

int cmd_version(struct cli *c, struct lathe_err *err)
{
    if (c->o.json)
        return print_json();
    printf("lathe %s (%s)%s\n", lathe_version(), lathe_isa(),
           IS_DEFINED(LATHE_EDGE) ? ", the edge build" : "");
    print_parts("with: ", true);
    print_parts("without: ", false);
    return 0;
}
