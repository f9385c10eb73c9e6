/* What this CPU can run, and how many of them. */
#include "base/cpu.h"
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lathe.h>
#include "base/amx.h"
#include "base/cgroup.h"

static const char *const names[] = {
#define X(name, text) text,
    CPU_ISAS(X)
#undef X
};

const char *cpu_isa_name(enum cpu_isa isa)
{
    return names[isa];
}

#if defined(__x86_64__)
/* clang 14 has no name for this bit in __builtin_cpu_supports. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

/* Nor for what is here: bit 4 is AVX-VNNI, bit 5 AVX512-BF16. */
static unsigned leaf_7_1(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) ? a : 0;
}
#endif

bool cpu_supports(enum cpu_isa isa)
{
    switch (isa) {
    case CPU_C:
        return true;
#if defined(__x86_64__)
    case CPU_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c() &&
               __builtin_cpu_supports("bmi2");
    case CPU_AVXVNNI:
        return cpu_supports(CPU_AVX2) && leaf_7_1() & 1u << 4;
    case CPU_AVX512VNNI:
        return cpu_supports(CPU_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
    case CPU_AVX512BF16:
        return cpu_supports(CPU_AVX512VNNI) && leaf_7_1() & 1u << 5;
    case CPU_AMXINT8:
        return cpu_supports(CPU_AVX512VNNI) && amx_supports(AMX_INT8);
    case CPU_AMXBF16:
        return cpu_supports(CPU_AVX512BF16) && amx_supports(AMX_BF16);
#elif defined(__aarch64__)
    case CPU_NEON:
        return true;
    case CPU_DOTPROD:
        return getauxval(AT_HWCAP) & 1ul << 20; /* HWCAP_ASIMDDP; older headers lack the names */
    case CPU_I8MM:
        return cpu_supports(CPU_DOTPROD) && getauxval(AT_HWCAP2) & 1ul << 13; /* HWCAP2_I8MM */
#endif
    default:
        return false;
    }
}

static struct {
    bool has[CPU_N_ISA];
    const char *bad;
    char isa_text[128];
} cpu;
static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;

static void cpu_init(void)
{
    const char *mask = getenv("LATHE_CPU");
    int widest = CPU_N_ISA - 1;
    if (mask && *mask) {
        widest = -1;
        for (int i = 0; i < CPU_N_ISA; i++)
            if (strcmp(mask, names[i]) == 0)
                widest = i;
        if (widest < 0) {
            cpu.bad = mask;
            widest = CPU_N_ISA - 1;
        }
    }
    for (int i = CPU_N_ISA - 1; i >= 0; i--) {
        cpu.has[i] = i <= widest && cpu_supports((enum cpu_isa)i);
        if (cpu.has[i]) {
            size_t n = strlen(cpu.isa_text);
            snprintf(cpu.isa_text + n, sizeof cpu.isa_text - n, "%s%s", n ? " " : "", names[i]);
        }
    }
}

bool cpu_has(enum cpu_isa isa)
{
    pthread_once(&cpu_once, cpu_init);
    return cpu.has[isa];
}

const char *cpu_bad_mask(void)
{
    pthread_once(&cpu_once, cpu_init);
    return cpu.bad;
}

const char *lathe_isa(void)
{
    pthread_once(&cpu_once, cpu_init);
    return cpu.isa_text;
}

/* The value of the first line of `path` that begins with `field`, "" taking the first line. */
static bool read_field(const char *path, const char *field, char *out, size_t n)
{
    char line[256];
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool found = false;
    for (int i = 0; !found && i < 64 && fgets(line, sizeof line, f); i++)
        if (strncmp(line, field, strlen(field)) == 0) {
            const char *value = line + strlen(field);
            value += strspn(value, " \t:");
            snprintf(out, n, "%.*s", (int)strcspn(value, "\n"), value);
            found = true;
        }
    fclose(f);
    return found;
}

void cpu_identity(char *out, size_t n)
{
    char id[64] = "cpu", microcode[64] = "";
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0, top;
    __get_cpuid(0, &top, &b, &c, &d);
    const unsigned vendor[3] = {b, d, c};
    __get_cpuid(1, &a, &b, &c, &d);
    unsigned family = a >> 8 & 15, model = (a >> 4 & 15) | (a >> 12 & 0xf0);
    family += family == 15 ? a >> 20 & 255 : 0;
    snprintf(id, sizeof id, "%.12s-%u-%u-%u", (const char *)vendor, family, model, a & 15);
    /* On kernels before 5.18 opening /proc/cpuinfo may sleep 10 ms to sample frequencies: it comes second. */
    if (!read_field("/sys/devices/system/cpu/cpu0/microcode/version", "", microcode, sizeof microcode))
        read_field("/proc/cpuinfo", "microcode", microcode, sizeof microcode);
#else
    read_field("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1", "", id, sizeof id);
    read_field("/sys/devices/system/cpu/cpu0/regs/identification/revidr_el1", "", microcode,
               sizeof microcode);
#endif
    snprintf(out, n, "%s%s%s", id, microcode[0] ? "-" : "", microcode);
    for (char *p = out; *p; p++)
        if (!(*p >= '0' && *p <= '9') && !((*p | 32) >= 'a' && (*p | 32) <= 'z'))
            *p = '-';
}

int cpu_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int quota = cgroup_cpus("");
    return quota > 0 && quota < n ? quota : n;
}

int lathe_n_core(void)
{
    return cpu_count();
}
