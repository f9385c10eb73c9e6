/* What a call of a row costs on the CPU at hand, measured with generated inputs: a panel of 1024 columns, which is in
 * a near cache as a panel of real weights is when tokens loop over it, with one token and with a tile of twelve;
 * vectors of 1024. Rows of one operation are measured in turns and the least of several counts, so that what disturbs
 * one disturbs all of them or none. */
#ifndef LATHE_KERN_KERN_COST_H
#define LATHE_KERN_KERN_COST_H
#include "kern/kern.h"

enum { KERN_COST_ROWS = CPU_N_ISA };

/* Picoseconds of a call into cost_ps[i] for rows[0..n), n <= KERN_COST_ROWS, of one operation and format that this CPU
 * can run; at least 1, at most UINT32_MAX. Operations without tiles have one cost for both loads. False if the CPU refused to run one of
 * them (kern/kern_trap.h). */
bool kern_cost_measure(const struct kern_row *const *rows, int n, uint32_t (*cost_ps)[KERN_N_LOAD]);
#endif
