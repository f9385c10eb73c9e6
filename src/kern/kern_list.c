/* The table of kernel rows as it is listed: what is at hand, what it costs, what is chosen and why. */
#include <stdlib.h>
#include <string.h>
#include "base/opt.h"
#include "kern/kern_check.h"
#include "kern/kern_cost.h"

/* The table is listed without a model and its options: the environment says where verdicts are kept. */
static void begin_by_environment(void)
{
    const char *dir = getenv("LATHE_CACHE_DIR"), *value = getenv("LATHE_NO_CACHE");
    bool keep = true, no_cache;
    if (value && *value)
        keep = opt_flag(value, &no_cache) && !no_cache;
    kern_begin(dir && *dir ? dir : NULL, keep);
}

/* The other rows of the operation that this CPU has beside plain C, and how many of all failed. */
static int others(const struct kern_row *r, int *n_failed)
{
    int n = 0;
    *n_failed = 0;
    for (int i = 0; kern_row(i); i++) {
        const struct kern_row *other = kern_row(i);
        if (other->op != r->op || other->format != r->format || other->isa == CPU_C || !cpu_has(other->isa) ||
            strcmp(other->class_name, r->class_name) != 0)
            continue;
        n += other != r;
        *n_failed += kern_verdicts_here()->of[i] == KERN_FAILED;
    }
    return n;
}

static const char *why_native(const struct kern_row *r, bool chosen)
{
    if (r->isa == CPU_C)
        return "specifies a row of the native class";
    return chosen ? "for BF16 weights with --precision native, passed its check" : "a wider row is at hand";
}

static const char *why(const struct kern_row *r, bool one, bool many)
{
    int n_failed, n_other = others(r, &n_failed);
    if (!cpu_has(r->isa))
        return cpu_supports(r->isa) ? "masked by LATHE_CPU" : "not on this CPU";
    if (kern_verdicts_here()->of[r - kern_row(0)] == KERN_FAILED)
        return "failed its check on this CPU";
    if (strcmp(r->class_name, "native") == 0)
        return why_native(r, one);
    if (!one && !many)
        return r->isa == CPU_C ? "a faster row is at hand" : "a cheaper row is at hand";
    if (r->isa == CPU_C)
        return n_other ? "every faster row failed its check" : "the only row at hand";
    if (n_other == n_failed)
        return "the only row at hand that passed its check";
    return one && many ? "cheapest, passed its check"
           : one       ? "cheapest for one token, passed its check"
                       : "cheapest for many tokens, passed its check";
}

/* What the start had no need to find out. */
static void complete(const struct kern_row *r)
{
    struct kern_verdicts *v = kern_verdicts_here();
    int64_t i = r - kern_row(0);
    if (v->cost_ps[i][KERN_MANY] == 0)
        kern_cost_measure(&r, 1, &v->cost_ps[i]);
    if (r->isa != CPU_C && v->of[i] == KERN_UNTRIED)
        v->of[i] = kern_check_row(r, kern_plain(r)) ? KERN_PASSED : KERN_FAILED;
}

/* Of a row that this CPU cannot run: what its twin gave, if it has one that can. */
static const char *twin_verdict(const struct kern_row *r)
{
    const struct kern_row *twin = kern_twin(r);
    if (!twin || !cpu_has(twin->isa))
        return "";
    return kern_check_row(twin, kern_plain(twin)) ? "twin passed" : "twin failed";
}

bool lathe_kernel(int i, struct lathe_kernel_info *out)
{
    const struct kern_row *r = kern_row(i);
    if (!r || strcmp(r->class_name, "twin") == 0) /* they come last */
        return false;
    begin_by_environment();
    const struct kern_verdicts *v = kern_verdicts_here();
    bool one = kern_choose(r->op, r->format, KERN_ONE) == r,
         many = kern_choose(r->op, r->format, KERN_MANY) == r;
    if (strcmp(r->class_name, "native") == 0)
        one = many = kern_choose_native(r->op, r->format) == r;
    *out = (struct lathe_kernel_info){.op = r->op_name,
                                      .weight = kern_op_has_weight(r->op) ? r->weight : "-",
                                      .activation = r->activation,
                                      .isa = cpu_isa_name(r->isa),
                                      .name = r->name,
                                      .numeric_class = r->class_name,
                                      .available = cpu_has(r->isa),
                                      .chosen = one || many,
                                      .why = why(r, one, many),
                                      .verdict = ""};
    if (!out->available) {
        out->verdict = twin_verdict(r);
        return true;
    }
    complete(r);
    out->cost_one_us = v->cost_ps[i][KERN_ONE] * 1e-6;
    out->cost_many_us = v->cost_ps[i][KERN_MANY] * 1e-6;
    if (r->isa != CPU_C)
        out->verdict = v->of[i] == KERN_PASSED ? "passed" : "failed";
    return true;
}
