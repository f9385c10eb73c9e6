/* The table of kernel rows and the choice among them. */
#include "kern/kern.h"
#include <pthread.h>
#include <stddef.h>

static const struct kern_row rows[] = {
#define KERN(OP, op, WEIGHT, act, ISA, fn, cls) \
    {KERN_##OP, #op, #WEIGHT, act, FORMAT_##WEIGHT, CPU_##ISA, #fn, cls, (void (*)(void))fn},
#include "kern/kernels.inc"
#undef KERN
};
enum { N_ROW = sizeof rows / sizeof *rows };

static bool op_has_weight(enum kern_op op)
{
    return op == KERN_TILE_DOT || op == KERN_TILE_F32 || op == KERN_UNPACK;
}

const struct kern_row *kern_row(int i)
{
    return i >= 0 && i < N_ROW ? &rows[i] : NULL;
}

const struct kern_row *kern_find(enum kern_op op, enum format_id format, enum cpu_isa isa)
{
    for (int i = 0; i < N_ROW; i++)
        if (rows[i].op == op && rows[i].isa == isa && (!op_has_weight(op) || rows[i].format == format))
            return &rows[i];
    return NULL;
}

const struct kern_row *kern_choose(enum kern_op op, enum format_id format)
{
    for (int isa = CPU_N_ISA - 1; isa >= 0; isa--) {
        const struct kern_row *r =
            cpu_has((enum cpu_isa)isa) ? kern_find(op, format, (enum cpu_isa)isa) : NULL;
        if (r)
            return r;
    }
    return NULL;
}

static struct kern_set chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static void choose_all(void)
{
#define CHOOSE(field, type, OP, format) \
    chosen.field = (type##_fn *)kern_choose(KERN_##OP, FORMAT_##format)->fn
    CHOOSE(quantize, quantize, QUANTIZE, F32);
    CHOOSE(rmsnorm, rmsnorm, RMSNORM, F32);
    CHOOSE(rope, rope, ROPE, F32);
    CHOOSE(silu_mul, silu_mul, SILU_MUL, F32);
    CHOOSE(span_softmax, span_softmax, SPAN_SOFTMAX, F32);
    CHOOSE(span_merge, span_merge, SPAN_MERGE, F32);
    CHOOSE(to_f16, to_f16, TO_F16, F32);
    CHOOSE(argmax, argmax, ARGMAX, F32);
    CHOOSE(sum_exp, sum_exp, SUM_EXP, F32);
    CHOOSE(tile_f32, tile_f32, TILE_F32, F32);
    CHOOSE(tile_f16, tile_f32, TILE_F32, F16);
    CHOOSE(unpack_f16, unpack, UNPACK, F16);
}

const struct kern_set *kern_set(void)
{
    pthread_once(&chosen_once, choose_all);
    return &chosen;
}

bool lathe_kernel(int i, struct lathe_kernel_info *out)
{
    const struct kern_row *r = kern_row(i);
    if (!r)
        return false;
    *out = (struct lathe_kernel_info){.op = r->op_name,
                                      .weight = op_has_weight(r->op) ? r->weight : "-",
                                      .activation = r->activation,
                                      .isa = cpu_isa_name(r->isa),
                                      .name = r->name,
                                      .numeric_class = r->class_name,
                                      .available = cpu_has(r->isa),
                                      .chosen = kern_choose(r->op, r->format) == r};
    if (out->chosen)
        out->why = "widest instruction set at hand";
    else if (out->available)
        out->why = "a wider row is at hand";
    else
        out->why = cpu_supports(r->isa) ? "masked by LATHE_CPU" : "not on this CPU";
    return true;
}
