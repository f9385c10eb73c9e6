/* The proof of a kernel row on the CPU at hand. A row wider than plain C answers only after it gave plain C's bits
 * there; kern.c chooses by verdicts and costs, kern_verdicts.h keeps them between runs. */
#ifndef LATHE_KERN_KERN_CHECK_H
#define LATHE_KERN_KERN_CHECK_H
#include "kern/kern.h"

/* Row i of kernels.inc is KERN_ROW_<function>. */
enum {
#define KERN(OP, op, WEIGHT, act, ISA, fn, cls) KERN_ROW_##fn,
#include "kern/kernels.inc"
#undef KERN
    KERN_N_ROW
};

enum kern_verdict { KERN_UNTRIED, KERN_PASSED, KERN_FAILED };

/* Of all rows; plain C, the specification, stays untried. */
struct kern_verdicts {
    uint8_t of[KERN_N_ROW];                    /* enum kern_verdict */
    uint32_t cost_ps[KERN_N_ROW][KERN_N_LOAD]; /* 0: not measured */
};

/* What is found out about rows; tests have their own. */
struct kern_trial {
    /* Whether `row` gives the bits of `plain`, a row of the same operation and format. */
    bool (*check)(const struct kern_row *row, const struct kern_row *plain);
    /* Fills cost_ps[i] for rows[0..n), all of one operation and format; false if it cannot, and the widest row counts as
     * the cheapest until the next start. */
    bool (*time)(const struct kern_row *const *rows, int n, uint32_t (*cost_ps)[KERN_N_LOAD]);
};
/* On some twenty calls with generated inputs; a row that the CPU refuses to run failed. Runs `row`: the CPU must have its instruction set. */
bool kern_check_row(const struct kern_row *row, const struct kern_row *plain);

/* Of each operation and format, measures the rows that this CPU has (LATHE_CPU masks) if there are several, and tries
 * those that have no verdict, the cheapest first, until one passes for each load. True if anything was found out. */
bool kern_judge(struct kern_verdicts *v, const struct kern_trial *trial);
/* The cheapest row that passed, else plain C. */
const struct kern_row *kern_choose_by(const struct kern_verdicts *v, enum kern_op op, enum format_id format,
                                      enum kern_load load);

/* Whether `format` distinguishes rows of the operation. */
bool kern_op_has_weight(enum kern_op op);
/* What this process chooses by. */
struct kern_verdicts *kern_verdicts_here(void);
#endif
