/* lathe version: the version and the instruction sets in use. */
#include <stdio.h>
#include "cli/cli.h"

int cmd_version(struct cli *c, struct lathe_err *err)
{
    if (c->o.json)
        printf("{\"version\": \"%s\", \"isa\": \"%s\"}\n", lathe_version(), lathe_isa());
    else
        printf("lathe %s (%s)\n", lathe_version(), lathe_isa());
    return 0;
}
