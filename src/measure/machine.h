/* What this machine can do: its cores, caches and nodes as hwloc tells them, and measured rates.
 *
 * Rates are of the hardware, whatever LATHE_CPU masks: they are the limits that benchmarks are shown against.
 * A multiply-add counts as two operations. */
#ifndef LATHE_MEASURE_MACHINE_H
#define LATHE_MEASURE_MACHINE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum machine_rate { MACHINE_READ, MACHINE_INT8, MACHINE_BF16, MACHINE_F32, MACHINE_N_RATE };

/* A probe loop: reads `n` bytes at p (READ), or runs `n` rounds in registers. Returns operations done (bytes
 * for READ) and folds its result into *sink so that nothing is optimized away. */
typedef double machine_loop(const uint8_t *p, int64_t n, uint64_t *sink);

struct machine_probe {
    enum machine_rate rate;
    const char *isa; /* "avx512vnni", "avx2", "c" ... */
    machine_loop *loop;
};
/* The widest probe that this CPU runs. */
const struct machine_probe *machine_probe_find(enum machine_rate rate);

struct machine_rates {
    double read_gb_s, int8_gop_s, bf16_gop_s, f32_gop_s;
};
#define MACHINE_ROUNDS 21
/* Measures the rates whose bit (1 << enum machine_rate) is in `what`, with n_thread threads on cores of their own
 * (0: one per usable core), in n_round rounds (MACHINE_ROUNDS at most) of 10 to 20 ms; READ maps 512 MiB meanwhile,
 * 0.2 s. Other rates are left as they are. */
void machine_measure(unsigned what, int n_thread, int n_round, struct machine_rates *out);

struct machine_cache {
    int level;
    char type[16]; /* "Data", "Instruction", "Unified" */
    long bytes;
    int n_instance, n_sharing; /* how many there are; cores per instance, at most */
};
#define MACHINE_MAX_CACHE 16
#define MACHINE_MAX_NODE 64
struct machine_topology {
    char cpu[128];
    char flags[512]; /* instruction sets that matter here, with spaces between */
    int n_core;      /* logical processors online */
    int n_usable;    /* that this process may use */
    long memory_mib;
    /* What follows is from hwloc. If it is not there all of it is 0 and this says why, else it is "". */
    char unknown[128];
    int n_package, threads_per_core;
    int n_cache;
    struct machine_cache cache[MACHINE_MAX_CACHE];
    int n_node;
    long node_mib[MACHINE_MAX_NODE];
    char node_cpus[MACHINE_MAX_NODE][512]; /* "0-3,8"; one that does not fit ends in ",..." */
};
void machine_topology(struct machine_topology *out);

/* The loops; each exists on its architecture only and may be called only on a CPU that has the instructions. Never
 * instrumented: what they would measure then is no limit of the machine. */
#ifdef __clang__
#define MACHINE_LOOP __attribute__((no_sanitize("thread", "address", "undefined")))
#else
#define MACHINE_LOOP __attribute__((no_sanitize("thread,address,undefined")))
#endif
MACHINE_LOOP machine_loop machine_read_c, machine_int8_c, machine_bf16_c, machine_f32_c;
MACHINE_LOOP machine_loop machine_read_avx2, machine_int8_avx2, machine_bf16_avx2, machine_f32_avx2;
MACHINE_LOOP machine_loop machine_read_avx512vnni, machine_int8_avx512vnni, machine_f32_avx512vnni;
MACHINE_LOOP machine_loop machine_bf16_avx512bf16;
MACHINE_LOOP machine_loop machine_int8_dotprod;
#endif
