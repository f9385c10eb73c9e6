/* Fits of groups in what every CPU of the family has; the choice among all. */
#define FIT fit_c
#include "quant/fit_lanes.h"
#include "base/cpu.h"

fit_fn *fit_chosen(void)
{
#if defined __x86_64__
    if (cpu_has(CPU_AVX512VNNI))
        return fit_avx512vnni;
    if (cpu_has(CPU_AVX2))
        return fit_avx2;
#endif
    return fit_c;
}
