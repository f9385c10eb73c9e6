/* The one JSON object that --json prints. */
#include "cli/json.h"
#include <stdio.h>

int json_print(json_t *object)
{
    json_dumpf(object, stdout, JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(object);
    return 0;
}
