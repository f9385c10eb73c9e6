/* The proof of a kernel row on the CPU at hand. A row wider than plain C answers only after it gave plain C's bits
 * there; kern.c chooses by the verdicts, kern_verdicts.h keeps them between runs. */
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
    uint8_t of[KERN_N_ROW]; /* enum kern_verdict */
};

/* Whether `row` gives the bits of `plain`, a row of the same operation and format, on some twenty calls with
 * generated inputs. Runs `row`: the CPU must have its instruction set. */
bool kern_check_row(const struct kern_row *row, const struct kern_row *plain);

/* Tries, of each operation and format, the rows that this CPU has (LATHE_CPU masks) and that have no verdict, the
 * widest first, until one passes. True if any was tried. */
bool kern_judge(struct kern_verdicts *v, bool (*check)(const struct kern_row *, const struct kern_row *));
/* The widest row that passed, else plain C. */
const struct kern_row *kern_choose_by(const struct kern_verdicts *v, enum kern_op op, enum format_id format);
#endif
