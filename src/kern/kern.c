/* The table of kernel rows and the choice among them. */
#include "kern/kern.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "base/cache_folder.h"
#include "kern/kern_check.h"
#include "kern/kern_cost.h"
#include "kern/kern_verdicts.h"

static const struct kern_row rows[] = {
#define KERN(OP, op, WEIGHT, act, ISA, fn, cls) \
    {KERN_##OP, #op, #WEIGHT, act, FORMAT_##WEIGHT, CPU_##ISA, #fn, cls, (void (*)(void))fn},
#include "kern/kernels.inc"
#undef KERN
};
enum { N_ROW = sizeof rows / sizeof *rows };

bool kern_op_has_weight(enum kern_op op)
{
    return op == KERN_TILE_DOT || op == KERN_TILE_F32 || op == KERN_TILE_SPAN || op == KERN_PACK_SPAN ||
           op == KERN_UNPACK;
}

const struct kern_row *kern_row(int i)
{
    return i >= 0 && i < N_ROW ? &rows[i] : NULL;
}

static bool is_portable(const struct kern_row *r)
{
    return strcmp(r->class_name, "portable") == 0;
}

const struct kern_row *kern_find(enum kern_op op, enum format_id format, enum cpu_isa isa)
{
    for (int i = 0; i < N_ROW; i++)
        if (rows[i].op == op && rows[i].isa == isa && (!kern_op_has_weight(op) || rows[i].format == format) &&
            is_portable(&rows[i]))
            return &rows[i];
    return NULL;
}

/* The row that is called as the first n of `name` and `end`. */
static const struct kern_row *named(const char *name, size_t n, const char *end)
{
    for (int i = 0; i < N_ROW; i++)
        if (strncmp(rows[i].name, name, n) == 0 && strcmp(rows[i].name + n, end) == 0)
            return &rows[i];
    return NULL;
}

const struct kern_row *kern_twin(const struct kern_row *row)
{
    return named(row->name, strlen(row->name), "_twin");
}

const struct kern_row *kern_plain(const struct kern_row *row)
{
    if (row->isa == CPU_C)
        return row;
    size_t n = strlen(row->name) - (strcmp(row->class_name, "twin") == 0 ? strlen("_twin") : 0);
    const struct kern_row *own = named(row->name, n, "_c");
    return own ? own : kern_find(row->op, row->format, CPU_C);
}

/* The rows that this CPU has beside plain C and that have not failed, the widest first. */
static int rows_at_hand(const struct kern_verdicts *v, enum kern_op op, enum format_id format,
                        const struct kern_row **out)
{
    int n = 0;
    for (int isa = CPU_N_ISA - 1; isa > CPU_C; isa--) {
        const struct kern_row *r =
            cpu_has((enum cpu_isa)isa) ? kern_find(op, format, (enum cpu_isa)isa) : NULL;
        if (r && v->of[r - rows] != KERN_FAILED)
            out[n++] = r;
    }
    return n;
}

/* Which of the rows is cheapest; of those that cost the same within a sixteenth, which measuring again would put in
 * another order, the widest: the first. */
static int cheapest(const struct kern_verdicts *v, const struct kern_row *const *r, int n,
                    enum kern_load load)
{
    uint32_t least = UINT32_MAX;
    int i = 0;
    for (int k = 0; k < n; k++)
        least = v->cost_ps[r[k] - rows][load] < least ? v->cost_ps[r[k] - rows][load] : least;
    while (v->cost_ps[r[i] - rows][load] > least + least / 16)
        i++;
    return i;
}

const struct kern_row *kern_choose_by(const struct kern_verdicts *v, enum kern_op op, enum format_id format,
                                      enum kern_load load)
{
    const struct kern_row *r[CPU_N_ISA];
    int n = 0, n_at_hand = rows_at_hand(v, op, format, r);
    for (int i = 0; i < n_at_hand; i++)
        if (v->of[r[i] - rows] == KERN_PASSED)
            r[n++] = r[i];
    return n ? r[cheapest(v, r, n, load)] : kern_find(op, format, CPU_C);
}

/* Measures the rows of an operation if there is a choice. */
static bool judge_cost(struct kern_verdicts *v, const struct kern_row *plain, const struct kern_trial *trial)
{
    const struct kern_row *r[CPU_N_ISA];
    uint32_t cost_ps[CPU_N_ISA][KERN_N_LOAD];
    int n = rows_at_hand(v, plain->op, plain->format, r), n_known = 0;
    for (int i = 0; i < n; i++)
        n_known += v->cost_ps[r[i] - rows][KERN_MANY] > 0;
    if (n < 2 || n_known == n)
        return false;
    if (!trial->time(r, n, cost_ps))
        return false;
    for (int i = 0; i < n; i++)
        memcpy(v->cost_ps[r[i] - rows], cost_ps[i], sizeof cost_ps[i]);
    return true;
}

/* Tries the cheapest row until it is one that passed. */
static bool judge_load(struct kern_verdicts *v, const struct kern_row *plain, enum kern_load load,
                       const struct kern_trial *trial)
{
    const struct kern_row *r[CPU_N_ISA];
    bool tried = false;
    for (int n; (n = rows_at_hand(v, plain->op, plain->format, r)) > 0; tried = true) {
        const struct kern_row *best = r[cheapest(v, r, n, load)];
        if (v->of[best - rows] == KERN_PASSED)
            break;
        v->of[best - rows] = trial->check(best, plain) ? KERN_PASSED : KERN_FAILED;
    }
    return tried;
}

/* Rows of the native class: each has bits of its own, so that there is nothing to choose by cost. */
static bool judge_native(struct kern_verdicts *v, const struct kern_trial *trial)
{
    bool tried = false;
    for (int i = 0; i < N_ROW; i++) {
        const struct kern_row *r = &rows[i];
        if (strcmp(r->class_name, "native") != 0 || r->isa == CPU_C || !cpu_has(r->isa) ||
            v->of[i] != KERN_UNTRIED)
            continue;
        v->of[i] = trial->check(r, kern_plain(r)) ? KERN_PASSED : KERN_FAILED;
        tried = true;
    }
    return tried;
}

bool kern_judge(struct kern_verdicts *v, const struct kern_trial *trial)
{
    bool found_out = judge_native(v, trial);
    for (int i = 0; i < N_ROW; i++) {
        if (rows[i].isa != CPU_C || !is_portable(&rows[i]))
            continue;
        found_out |= judge_cost(v, &rows[i], trial);
        for (int load = 0; load < KERN_N_LOAD; load++)
            found_out |= judge_load(v, &rows[i], (enum kern_load)load, trial);
    }
    return found_out;
}

/* ---- the choice of this process ---- */

static struct kern_verdicts verdicts;
static struct kern_set chosen;
static atomic_bool begun;
static pthread_mutex_t begin_lock = PTHREAD_MUTEX_INITIALIZER;

static void choose_all(void)
{
#define CHOOSE(field, type, OP, format) \
    chosen.field = (type##_fn *)kern_choose_by(&verdicts, KERN_##OP, FORMAT_##format, KERN_MANY)->fn
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
        static const struct kern_trial trial = {kern_check_row, kern_cost_measure};
        kern_verdicts_settle(&verdicts, keep ? folder : NULL, &trial);
        choose_all();
        for (int i = 0; i < N_ROW; i++)
            if (verdicts.of[i] == KERN_FAILED && cpu_has(rows[i].isa))
                fprintf(stderr, "lathe: kernel %s failed its check on this CPU and is not used\n",
                        rows[i].name);
        atomic_store_explicit(&begun, true, memory_order_release);
    }
    pthread_mutex_unlock(&begin_lock);
}

const struct kern_row *kern_choose(enum kern_op op, enum format_id format, enum kern_load load)
{
    kern_begin(NULL, false);
    return kern_choose_by(&verdicts, op, format, load);
}

const struct kern_row *kern_choose_native(enum kern_op op, enum format_id format)
{
    const struct kern_row *widest = NULL;
    kern_begin(NULL, false);
    for (int i = 0; i < N_ROW; i++)
        if (strcmp(rows[i].class_name, "native") == 0 && rows[i].op == op && rows[i].format == format &&
            verdicts.of[i] == KERN_PASSED && cpu_has(rows[i].isa) && (!widest || rows[i].isa > widest->isa))
            widest = &rows[i];
    return widest;
}

struct kern_verdicts *kern_verdicts_here(void)
{
    return &verdicts;
}

const struct kern_set *kern_set(void)
{
    kern_begin(NULL, false);
    return &chosen;
}
