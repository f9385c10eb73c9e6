/* The table of kernel rows and the choice among them. */
#include "kern/kern.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/cache_folder.h"
#include "base/opt.h"
#include "kern/kern_check.h"
#include "kern/kern_verdicts.h"

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

const struct kern_row *kern_choose_by(const struct kern_verdicts *v, enum kern_op op, enum format_id format)
{
    for (int isa = CPU_N_ISA - 1; isa > CPU_C; isa--) {
        const struct kern_row *r =
            cpu_has((enum cpu_isa)isa) ? kern_find(op, format, (enum cpu_isa)isa) : NULL;
        if (r && v->of[r - rows] == KERN_PASSED)
            return r;
    }
    return kern_find(op, format, CPU_C);
}

bool kern_judge(struct kern_verdicts *v, bool (*check)(const struct kern_row *, const struct kern_row *))
{
    bool tried = false;
    for (int i = 0; i < N_ROW; i++) {
        const struct kern_row *plain = &rows[i];
        bool passed = plain->isa != CPU_C;
        for (int isa = CPU_N_ISA - 1; isa > CPU_C && !passed; isa--) {
            const struct kern_row *r =
                cpu_has((enum cpu_isa)isa) ? kern_find(plain->op, plain->format, (enum cpu_isa)isa) : NULL;
            if (!r)
                continue;
            if (v->of[r - rows] == KERN_UNTRIED) {
                v->of[r - rows] = check(r, plain) ? KERN_PASSED : KERN_FAILED;
                tried = true;
            }
            passed = v->of[r - rows] == KERN_PASSED;
        }
    }
    return tried;
}

/* ---- the choice of this process ---- */

static struct kern_verdicts verdicts;
static struct kern_set chosen;
static atomic_bool begun;
static pthread_mutex_t begin_lock = PTHREAD_MUTEX_INITIALIZER;

static void choose_all(void)
{
#define CHOOSE(field, type, OP, format) \
    chosen.field = (type##_fn *)kern_choose_by(&verdicts, KERN_##OP, FORMAT_##format)->fn
    CHOOSE(quantize, quantize, QUANTIZE, F32);
    CHOOSE(rmsnorm, rmsnorm, RMSNORM, F32);
    CHOOSE(bias, bias, BIAS, F32);
    CHOOSE(layernorm, layernorm, LAYERNORM, F32);
    CHOOSE(rope, rope, ROPE, F32);
    CHOOSE(silu_mul, silu_mul, SILU_MUL, F32);
    CHOOSE(gelu_mul, gelu_mul, GELU_MUL, F32);
    CHOOSE(gelu, gelu, GELU, F32);
    CHOOSE(glu_clamped, glu_clamped, GLU_CLAMPED, F32);
    CHOOSE(softcap, softcap, SOFTCAP, F32);
    CHOOSE(span_softmax, span_softmax, SPAN_SOFTMAX, F32);
    CHOOSE(span_merge, span_merge, SPAN_MERGE, F32);
    CHOOSE(to_f16, to_f16, TO_F16, F32);
    CHOOSE(to_bf16, to_bf16, TO_BF16, F32);
    CHOOSE(argmax, argmax, ARGMAX, F32);
    CHOOSE(sum_exp, sum_exp, SUM_EXP, F32);
    CHOOSE(tile_f32, tile_f32, TILE_F32, F32);
    CHOOSE(tile_f16, tile_f32, TILE_F32, F16);
    CHOOSE(tile_bf16, tile_f32, TILE_F32, BF16);
}

void kern_begin(const char *cache_dir, bool keep)
{
    char folder[4000];
    if (atomic_load_explicit(&begun, memory_order_acquire))
        return;
    pthread_mutex_lock(&begin_lock);
    if (!atomic_load_explicit(&begun, memory_order_relaxed)) {
        keep = keep && strcmp(lathe_isa(), cpu_isa_name(CPU_C)) != 0 &&
               cache_folder(cache_dir, "kernels", folder, sizeof folder);
        kern_verdicts_settle(&verdicts, keep ? folder : NULL, kern_check_row);
        choose_all();
        for (int i = 0; i < N_ROW; i++)
            if (verdicts.of[i] == KERN_FAILED && cpu_has(rows[i].isa))
                fprintf(stderr, "lathe: kernel %s failed its check on this CPU and is not used\n",
                        rows[i].name);
        atomic_store_explicit(&begun, true, memory_order_release);
    }
    pthread_mutex_unlock(&begin_lock);
}

const struct kern_row *kern_choose(enum kern_op op, enum format_id format)
{
    kern_begin(NULL, false);
    return kern_choose_by(&verdicts, op, format);
}

const struct kern_set *kern_set(void)
{
    kern_begin(NULL, false);
    return &chosen;
}

/* The table is listed without a model and its options: the environment says where verdicts are kept. */
static void begin_by_environment(void)
{
    const char *dir = getenv("LATHE_CACHE_DIR"), *value = getenv("LATHE_NO_CACHE");
    bool keep = true, no_cache;
    if (value && *value)
        keep = opt_flag(value, &no_cache) && !no_cache;
    kern_begin(dir && *dir ? dir : NULL, keep);
}

static const char *why(const struct kern_row *r, bool chosen_row)
{
    bool wider = false, failed = false; /* rows of the same operation that this CPU has */
    for (int i = 0; i < N_ROW; i++)
        if (rows[i].op == r->op && rows[i].format == r->format && rows[i].isa > r->isa &&
            cpu_has(rows[i].isa)) {
            wider = true;
            failed |= verdicts.of[i] == KERN_FAILED;
        }
    if (!cpu_has(r->isa))
        return cpu_supports(r->isa) ? "masked by LATHE_CPU" : "not on this CPU";
    if (verdicts.of[r - rows] == KERN_FAILED)
        return "failed its check on this CPU";
    if (!chosen_row)
        return "a wider row is at hand";
    if (r->isa == CPU_C)
        return wider ? "every wider row failed its check" : "widest instruction set at hand";
    return failed ? "widest row that passed its check" : "widest instruction set at hand, passed its check";
}

bool lathe_kernel(int i, struct lathe_kernel_info *out)
{
    const struct kern_row *r = kern_row(i);
    if (!r)
        return false;
    begin_by_environment();
    *out = (struct lathe_kernel_info){.op = r->op_name,
                                      .weight = op_has_weight(r->op) ? r->weight : "-",
                                      .activation = r->activation,
                                      .isa = cpu_isa_name(r->isa),
                                      .name = r->name,
                                      .numeric_class = r->class_name,
                                      .available = cpu_has(r->isa),
                                      .chosen = kern_choose(r->op, r->format) == r};
    out->why = why(r, out->chosen);
    if (r->isa != CPU_C && out->available && verdicts.of[i] == KERN_UNTRIED) /* a wider row was chosen */
        verdicts.of[i] = kern_check_row(r, kern_find(r->op, r->format, CPU_C)) ? KERN_PASSED : KERN_FAILED;
    out->verdict = r->isa == CPU_C || !out->available ? ""
                   : verdicts.of[i] == KERN_PASSED    ? "passed"
                                                      : "failed";
    return true;
}
