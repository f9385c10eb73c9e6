/* lathe machine: what this machine has and what it reaches. */
#include <stdio.h>
#include "base/numa.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "measure/machine.h"

/* What hwloc tells: null, and not 0 or nothing, if it could not be asked. */
static json_t *if_known(const struct machine_topology *t, json_t *value)
{
    if (!t->unknown[0])
        return value;
    json_decref(value);
    return json_null();
}

/* Where an engine of n_thread workers would run; "" with one node. */
static const char *placement(int n_thread)
{
    static char text[512];
    static struct numa_topology t;
    struct numa_plan p;
    numa_topology(&t);
    numa_plan(&t, n_thread, &p);
    numa_text(&p, text, sizeof text);
    return text;
}

static int print_json(const struct machine_topology *t, const struct machine_rates *r, int n_thread)
{
    json_t *caches = json_array(), *nodes = json_array();
    for (int i = 0; i < t->n_cache; i++)
        json_array_append_new(caches,
                              json_pack("{si ss sI si si}", "level", t->cache[i].level, "type",
                                        t->cache[i].type, "bytes", (json_int_t)t->cache[i].bytes, "instances",
                                        t->cache[i].n_instance, "cores_sharing", t->cache[i].n_sharing));
    for (int i = 0; i < t->n_node; i++)
        json_array_append_new(
            nodes, json_pack("{ss sI}", "cpus", t->node_cpus[i], "memory_mib", (json_int_t)t->node_mib[i]));
    if (t->unknown[0])
        fprintf(stderr, "lathe: topology: not known (%s)\n", t->unknown);
    return json_print(json_pack(
        "{ss si si so so sI ss ss so so ss si sf sf sf sf}", "cpu", t->cpu, "cores", t->n_core,
        "usable_cores", t->n_usable, "packages", if_known(t, json_integer(t->n_package)), "threads_per_core",
        if_known(t, json_integer(t->threads_per_core)), "memory_mib", (json_int_t)t->memory_mib, "isa",
        lathe_isa(), "cpu_flags", t->flags, "caches", if_known(t, caches), "nodes", if_known(t, nodes),
        "placement", placement(n_thread), "threads", n_thread, "read_gb_s", r->read_gb_s, "int8_gop_s",
        r->int8_gop_s, "bf16_gop_s", r->bf16_gop_s, "f32_gop_s", r->f32_gop_s));
}

static void print_text(const struct machine_topology *t, const struct machine_rates *r, int n_thread)
{
    printf("%s\n", t->cpu[0] ? t->cpu : "unknown CPU");
    printf("cores      %d online, %d usable here", t->n_core, t->n_usable);
    if (!t->unknown[0])
        printf(", %d package%s, %d thread%s per core", t->n_package, t->n_package == 1 ? "" : "s",
               t->threads_per_core, t->threads_per_core == 1 ? "" : "s");
    printf("\n");
    printf("memory     %ld MiB\n", t->memory_mib);
    printf("has        %s\n", t->flags);
    printf("in use     %s\n", lathe_isa());
    if (t->unknown[0])
        printf("topology   not known (%s)\n", t->unknown);
    for (int i = 0; i < t->n_cache; i++)
        printf("cache      L%d %s: %d x %ld KiB, each shared by %d\n", t->cache[i].level, t->cache[i].type,
               t->cache[i].n_instance, t->cache[i].bytes / 1024, t->cache[i].n_sharing);
    for (int i = 0; i < t->n_node; i++)
        printf("node       cpus %s, %ld MiB\n", t->node_cpus[i], t->node_mib[i]);
    if (placement(n_thread)[0])
        printf("workers    %s\n", placement(n_thread));
    static const char *const what[] = {"read", "int8", "bf16", "f32"}, *const unit[] = {"GB/s", "GOP/s",
                                                                                        "GOP/s", "GOP/s"};
    const double value[] = {r->read_gb_s, r->int8_gop_s, r->bf16_gop_s, r->f32_gop_s};
    for (int i = 0; i < MACHINE_N_RATE; i++)
        printf("%-9s  %8.1f %-6s %d thread%s, loop %s\n", what[i], value[i], unit[i], n_thread,
               n_thread == 1 ? "" : "s", machine_probe_find(i)->isa);
}

int cmd_machine(struct cli *c, struct lathe_err *err)
{
    struct machine_topology t;
    struct machine_rates r = {0};
    struct progress bar = {0};
    machine_topology(&t);
    int n_thread = c->o.n_thread ? c->o.n_thread : t.n_usable;
    for (int rate = 0; rate < MACHINE_N_RATE; rate++) {
        progress_show(&bar, "measuring", (double)rate / MACHINE_N_RATE);
        machine_measure(1u << rate, n_thread, MACHINE_ROUNDS, &r);
    }
    progress_end(&bar);
    if (c->o.json)
        return print_json(&t, &r, n_thread);
    print_text(&t, &r, n_thread);
    return 0;
}
