/* lathe info: what is in a model file, runnable or not. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/json.h"
#include "cli/say.h"

#define VALUE_BYTES 256
#define MAX_TYPE 64

/* Tensors of one type. */
struct type_sum {
    const char *type;
    bool runnable;
    uint64_t n, n_bytes, n_weight;
};

static uint64_t weights_of(const struct lathe_file_tensor *t)
{
    return t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
}

static int sum_types(const lathe_file *f, struct type_sum *sum)
{
    int n = 0;
    struct lathe_file_tensor t;
    for (uint64_t i = 0; i < lathe_file_n_tensor(f); i++) {
        if (lathe_file_tensor_at(f, i, &t))
            continue;
        int k = 0;
        while (k < n && strcmp(sum[k].type, t.type) != 0)
            k++;
        if (k == n) {
            if (n == MAX_TYPE)
                continue;
            sum[n++] = (struct type_sum){.type = t.type, .runnable = t.runnable};
        }
        sum[k].n++;
        sum[k].n_bytes += t.n_bytes;
        sum[k].n_weight += weights_of(&t);
    }
    return n;
}

static int print_json(const lathe_file *f, const struct type_sum *sum, int n_sum)
{
    char value[VALUE_BYTES];
    json_t *meta = json_object(), *types = json_array(), *tensors = json_array();
    for (uint64_t i = 0; i < lathe_file_n_meta(f); i++) {
        const char *key = lathe_file_meta(f, i, value, sizeof value);
        json_object_set_new(meta, key, json_text(value, strlen(value)));
    }
    for (int i = 0; i < n_sum; i++)
        json_array_append_new(types, json_pack("{ss sb sI sI}", "type", sum[i].type, "runnable",
                                               sum[i].runnable, "tensors", (json_int_t)sum[i].n, "bytes",
                                               (json_int_t)sum[i].n_bytes));
    struct lathe_file_tensor t;
    for (uint64_t i = 0; i < lathe_file_n_tensor(f); i++) {
        if (lathe_file_tensor_at(f, i, &t))
            continue;
        json_t *dim = json_array();
        for (int d = 0; d < t.n_dim; d++)
            json_array_append_new(dim, json_integer((json_int_t)t.dim[d]));
        json_array_append_new(
            tensors, json_pack("{so ss so sI sb}", "name", json_text(t.name, strlen(t.name)), "type", t.type,
                               "shape", dim, "bytes", (json_int_t)t.n_bytes, "runnable", t.runnable));
    }
    return json_print(json_pack("{so so so}", "meta", meta, "types", types, "tensors", tensors));
}

/* Text of a file, one line, without control characters. */
static void print_clean(const char *p)
{
    for (; *p; p++)
        putchar((unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p);
}

static void print_text(const lathe_file *f, const struct type_sum *sum, int n_sum, bool tensors)
{
    char value[VALUE_BYTES];
    for (uint64_t i = 0; i < lathe_file_n_meta(f); i++) {
        print_clean(lathe_file_meta(f, i, value, sizeof value));
        fputs(" = ", stdout);
        print_clean(value);
        putchar('\n');
    }
    printf("\n%" PRIu64 " tensors\n", lathe_file_n_tensor(f));
    for (int i = 0; i < n_sum; i++)
        printf("  %-8s %6" PRIu64 " tensors %14" PRIu64 " weights %10.1f MiB  %s\n", sum[i].type, sum[i].n,
               sum[i].n_weight, (double)sum[i].n_bytes / 1048576.0,
               sum[i].runnable ? "runs" : "does not run: no kernel for this type");
    struct lathe_file_tensor t;
    for (uint64_t i = 0; tensors && i < lathe_file_n_tensor(f); i++) {
        if (lathe_file_tensor_at(f, i, &t))
            continue;
        fputs("  ", stdout);
        print_clean(t.name);
        printf("  %s  [", t.type);
        for (int d = 0; d < t.n_dim; d++)
            printf("%s%" PRIu64, d ? ", " : "", t.dim[d]);
        puts("]");
    }
}

int cmd_info(struct cli *c, struct lathe_err *err)
{
    lathe_file *f = NULL;
    struct type_sum sum[MAX_TYPE];
    TRY(input_need_model(c->o.model, err));
    TRY(lathe_file_open(c->o.model, &f, err));
    say_left_out(NULL, lathe_file_left_out(f));
    int n = sum_types(f, sum);
    if (c->o.json)
        print_json(f, sum, n);
    else
        print_text(f, sum, n, c->o.tensors);
    lathe_file_free(f);
    return 0;
}
