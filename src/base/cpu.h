/* What this CPU can run. An ISA bundle is a row; LATHE_CPU masks the ones wider than the level it names. */
#ifndef LATHE_BASE_CPU_H
#define LATHE_BASE_CPU_H
#include <stdbool.h>
#include <stddef.h>

/* name, text; narrowest first. A bundle contains all narrower ones of its family. */
#define CPU_ISAS(X)                                                \
    X(C, "c")                                                      \
    X(AVX2, "avx2")             /* avx2 fma f16c bmi2 */           \
    X(AVXVNNI, "avxvnni")       /* and vpdpbusd without AVX-512 */ \
    X(AVX512VNNI, "avx512vnni") /* avx512 f bw vl dq vnni */       \
    X(AVX512BF16, "avx512bf16") /* and dots of bf16 */             \
    X(AMXINT8, "amxint8")       /* avx512vnni and tiles of int8 */ \
    X(AMXBF16, "amxbf16")       /* avx512bf16 and tiles of bf16 */ \
    X(NEON, "neon")             /* what every aarch64 has */       \
    X(DOTPROD, "dotprod")       /* sdot, ARMv8.2 */                \
    X(I8MM, "i8mm")             /* smmla, ARMv8.6 */

enum cpu_isa {
#define X(name, text) CPU_##name,
    CPU_ISAS(X)
#undef X
        CPU_N_ISA
};

const char *cpu_isa_name(enum cpu_isa isa);
/* What the CPU and the operating system support, before LATHE_CPU. */
bool cpu_supports(enum cpu_isa isa);
/* The same as masked by LATHE_CPU; what kernels are chosen from. Read once per process. */
bool cpu_has(enum cpu_isa isa);
/* The value of LATHE_CPU if it names no bundle, else NULL. */
const char *cpu_bad_mask(void);
/* Which CPU this is, in letters, digits and '-': vendor, family, model, stepping and microcode, such as
 * AuthenticAMD-25-17-1-0x1000065. What the system does not tell is left out. */
void cpu_identity(char *out, size_t n);
/* Processors this process may use: its affinity mask, bounded by the CPU quotas of its cgroups, rounded up. */
int cpu_count(void);
#endif
