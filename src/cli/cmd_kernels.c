/* lathe kernels: the kernel table, what this CPU can run, what is chosen and why. */
#include <stdio.h>
#include <string.h>
#include "cli/cli.h"
#include "cli/json.h"

static int print_json(void)
{
    json_t *list = json_array();
    struct lathe_kernel_info k;
    for (int i = 0; lathe_kernel(i, &k); i++)
        json_array_append_new(list, json_pack("{ss ss ss ss ss ss sb sb ss ss}", "op", k.op, "weight",
                                              k.weight, "activation", k.activation, "isa", k.isa, "name",
                                              k.name, "class", k.numeric_class, "available", k.available,
                                              "chosen", k.chosen, "why", k.why, "verdict", k.verdict));
    return json_print(json_pack("{ss so}", "isa", lathe_isa(), "kernels", list));
}

int cmd_kernels(struct cli *c, struct lathe_err *err)
{
    if (c->o.json)
        return print_json();
    printf("instruction sets: %s\n\n  %-12s %-7s %-7s %-11s %-32s %-9s %-7s %s\n", lathe_isa(), "op",
           "weight", "activ.", "isa", "kernel", "class", "check", "why");
    struct lathe_kernel_info k;
    int n_other = 0;
    for (int i = 0; lathe_kernel(i, &k); i++) {
        if (!strcmp(k.why, "not in this build")) {
            n_other++;
            continue;
        }
        printf("%c %-12s %-7s %-7s %-11s %-32s %-9s %-7s %s\n", k.chosen ? '*' : ' ', k.op, k.weight,
               k.activation, k.isa, k.name, k.numeric_class, k.verdict, k.why);
    }
    if (n_other)
        printf("\nand %d for other processors, not in this build: --json lists them\n", n_other);
    return 0;
}
