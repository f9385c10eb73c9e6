/* Measured rates of this machine: read bandwidth and multiply-add rates over all threads.
 *
 * A round starts all threads at a barrier, each on a core of its own; its rate is the work of all over the
 * time of the slowest. The result is the median of the faster half of the rounds: a neighbour that steals
 * time only ever makes a round slower. */
#include "measure/machine.h"
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/clock.h"
#include "base/cpu.h"
#include "measure/stat.h"
#ifdef __aarch64__
#include <sys/auxv.h>
#endif

#define READ_BYTES ((size_t)512 << 20) /* several times any last-level cache of one socket */
#define MAX_THREAD 1024
#define ROUND_S 0.02

#ifdef __x86_64__
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static bool has_avx512vnni(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}
static bool has_avx512bf16(void)
{
    return has_avx512vnni() && __builtin_cpu_supports("avx512bf16");
}
#endif
#ifdef __aarch64__
static bool has_dotprod(void)
{
    return getauxval(AT_HWCAP) & (1ul << 20); /* HWCAP_ASIMDDP */
}
#endif
static bool has_c(void)
{
    return true;
}

const struct machine_probe *machine_probe_find(enum machine_rate rate)
{
    static const struct {
        struct machine_probe probe;
        bool (*available)(void);
    } rows[] = {
    /* widest first */
#ifdef __x86_64__
        {{MACHINE_READ, "avx512vnni", machine_read_avx512vnni}, has_avx512vnni},
        {{MACHINE_READ, "avx2", machine_read_avx2}, has_avx2},
        {{MACHINE_INT8, "avx512vnni", machine_int8_avx512vnni}, has_avx512vnni},
        {{MACHINE_INT8, "avx2", machine_int8_avx2}, has_avx2},
        {{MACHINE_BF16, "avx512bf16", machine_bf16_avx512bf16}, has_avx512bf16},
        {{MACHINE_BF16, "avx2", machine_bf16_avx2}, has_avx2},
        {{MACHINE_F32, "avx512vnni", machine_f32_avx512vnni}, has_avx512vnni},
        {{MACHINE_F32, "avx2", machine_f32_avx2}, has_avx2},
#endif
#ifdef __aarch64__
        {{MACHINE_INT8, "dotprod", machine_int8_dotprod}, has_dotprod},
#endif
        {{MACHINE_READ, "c", machine_read_c}, has_c},
        {{MACHINE_INT8, "c", machine_int8_c}, has_c},
        {{MACHINE_BF16, "c", machine_bf16_c}, has_c},
        {{MACHINE_F32, "c", machine_f32_c}, has_c},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].probe.rate == rate && rows[i].available())
            return &rows[i].probe;
    return NULL;
}

/* One measuring thread. */
struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    machine_loop *loop;
    const uint8_t *p;
    int64_t n;
    int n_round, core; /* core -1: anywhere */
    double seconds[MACHINE_ROUNDS], work[MACHINE_ROUNDS];
    uint64_t sink;
};

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    if (w->core >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(w->core, &set);
        pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    }
    for (int r = 0; r < w->n_round; r++) {
        pthread_barrier_wait(w->start);
        double t = clock_s();
        w->work[r] = w->loop(w->p, w->n, &w->sink);
        w->seconds[r] = clock_s() - t;
    }
    return NULL;
}

/* Runs all workers for n_round rounds; rates[r] is work per second of round r. */
static bool rounds(struct worker *w, int n_thread, int n_round, double *rates)
{
    pthread_barrier_t start;
    if (pthread_barrier_init(&start, NULL, (unsigned)n_thread))
        return false;
    int n = 0;
    for (int i = 0; i < n_thread; i++) {
        w[i].start = &start;
        w[i].n_round = n_round;
    }
    for (; n < n_thread; n++)
        if (pthread_create(&w[n].thread, NULL, worker_main, &w[n]))
            abort(); /* those already at the barrier could never be joined */
    for (int i = 0; i < n; i++)
        pthread_join(w[i].thread, NULL);
    pthread_barrier_destroy(&start);
    for (int r = 0; r < n_round; r++) {
        double work = 0, slowest = 1e-12;
        for (int i = 0; i < n_thread; i++) {
            work += w[i].work[r];
            slowest = w[i].seconds[r] > slowest ? w[i].seconds[r] : slowest;
        }
        rates[r] = work / slowest;
    }
    return true;
}

/* Cores for the threads, in order, as many as this process may use; -1 past them. */
static void choose_cores(struct worker *w, int n_thread)
{
    cpu_set_t set;
    bool known = sched_getaffinity(0, sizeof set, &set) == 0;
    int core = 0;
    for (int i = 0; i < n_thread; i++) {
        while (known && core < CPU_SETSIZE && !CPU_ISSET(core, &set))
            core++;
        w[i].core = known && core < CPU_SETSIZE ? core++ : -1;
    }
}

static double measure_one(enum machine_rate rate, int n_thread, int n_round)
{
    const struct machine_probe *probe = machine_probe_find(rate);
    struct worker *w = calloc((size_t)n_thread, sizeof *w);
    uint8_t *p = NULL;
    double rates[MACHINE_ROUNDS], result = 0;
    if (!w)
        return 0;
    choose_cores(w, n_thread);
    size_t share = READ_BYTES / (size_t)n_thread & ~(size_t)4095;
    if (rate == MACHINE_READ) {
        p = mmap(NULL, READ_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            goto done;
        madvise(p, READ_BYTES, MADV_HUGEPAGE);
        memset(p, 1, READ_BYTES);
    }
    for (int i = 0; i < n_thread; i++) {
        w[i].loop = probe->loop;
        w[i].p = p ? p + share * (size_t)i : NULL;
        w[i].n = p ? (int64_t)share : 20000;
    }
    /* Rounds in registers are made ROUND_S long; the first also wakes the clocks. */
    while (!p) {
        if (!rounds(w, n_thread, 1, rates))
            goto done;
        double s = w[0].seconds[0];
        if (s >= 0.5 * ROUND_S)
            break;
        for (int i = 0; i < n_thread; i++)
            w[i].n = (int64_t)((double)w[i].n * (s > 1e-6 ? ROUND_S / s : 1000.0)) + 1;
    }
    if (rounds(w, n_thread, n_round, rates))
        result = stat_quantile(rates, n_round, 0.75);
done:
    if (p && p != MAP_FAILED)
        munmap(p, READ_BYTES);
    free(w);
    return result * 1e-9;
}

void machine_measure(unsigned what, int n_thread, int n_round, struct machine_rates *out)
{
    double *const fields[MACHINE_N_RATE] = {&out->read_gb_s, &out->int8_gop_s, &out->bf16_gop_s,
                                            &out->f32_gop_s};
    if (n_thread <= 0)
        n_thread = cpu_count();
    n_thread = n_thread > MAX_THREAD ? MAX_THREAD : n_thread;
    assert(n_round > 0 && n_round <= MACHINE_ROUNDS);
    for (int rate = 0; rate < MACHINE_N_RATE; rate++)
        if (what & 1u << rate)
            *fields[rate] = measure_one(rate, n_thread, n_round);
}
