/* lathe kernels: the kernel table, what this CPU can run, what is chosen and why. */
#include <stdio.h>
#include "cli/cli.h"
#include "cli/json.h"

static int print_json(void)
{
    json_t *list = json_array();
    struct lathe_kernel_info k;
    for (int i = 0; lathe_kernel(i, &k); i++)
        json_array_append_new(list, json_pack("{ss ss ss ss ss ss sb sb ss ss sf sf}", "op", k.op, "weight",
                                              k.weight, "activation", k.activation, "isa", k.isa, "name",
                                              k.name, "class", k.numeric_class, "available", k.available,
                                              "chosen", k.chosen, "why", k.why, "verdict", k.verdict,
                                              "cost_one_us", k.cost_one_us, "cost_many_us", k.cost_many_us));
    return json_print(json_pack("{ss so}", "isa", lathe_isa(), "kernels", list));
}

/* Of one token and of a tile of twelve; of operations without tiles both are one. */
static void print_cost(const struct lathe_kernel_info *k)
{
    if (!k->available)
        printf("%9s %9s ", "-", "-");
    else if (k->cost_one_us == k->cost_many_us)
        printf("%9s %9.2f ", "", k->cost_many_us);
    else
        printf("%9.2f %9.2f ", k->cost_one_us, k->cost_many_us);
}

int cmd_kernels(struct cli *c, struct lathe_err *err)
{
    struct lathe_kernel_info k;
    if (c->o.json)
        return print_json();
    printf("instruction sets: %s\ncost: us a call, with one token and with twelve, 1024 columns\n\n",
           lathe_isa());
    printf("  %-12s %-7s %-7s %-11s %-32s %-9s %-11s %9s %9s %s\n", "op", "weight", "activ.", "isa", "kernel",
           "class", "check", "one", "twelve", "why");
    for (int i = 0; lathe_kernel(i, &k); i++) {
        printf("%c %-12s %-7s %-7s %-11s %-32s %-9s %-11s ", k.chosen ? '*' : ' ', k.op, k.weight,
               k.activation, k.isa, k.name, k.numeric_class, k.verdict);
        print_cost(&k);
        printf("%s\n", k.why);
    }
    return 0;
}
