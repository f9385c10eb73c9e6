/* probe: what this machine reaches, measured without any code of lathe, to check `lathe machine` against:
 * probe [-t THREADS] [-m MIB]
 *
 * Differs in every part from src/measure: processes instead of threads, a start time on the clock instead of
 * a barrier, instructions written out as assembly, loads instead of sums, time slices of fixed length instead
 * of fixed work. Prints one JSON object: read_gb_s, int8_gop_s, bf16_gop_s, f32_gop_s; a multiply-add counts
 * as two operations. */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLICES 11
#define MAX_PROCESS 512
#define SLICE_NS 40000000ll

enum what { READ, INT8, BF16, F32, N_WHAT };

struct report {
    double rate[MAX_PROCESS][SLICES]; /* bytes or operations per ns */
};

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

#ifdef __x86_64__
#define ZMM_ALL                                                                                       \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
        "xmm12", "xmm13", "xmm14", "xmm15"
#define R12(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define R8(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)

/* Each runs `n` blocks of 12 instructions on registers and returns the operations of one block. */
#define DEFINE_LOOP(name, op, reg, per_instruction)                                             \
    static double name(int64_t n)                                                               \
    {                                                                                           \
        __asm__ volatile("vpxor %%xmm12, %%xmm12, %%xmm12\n\tvpxor %%xmm13, %%xmm13, %%xmm13\n" \
                         "1:\n\t" R12(op) "sub $1, %0\n\tjnz 1b"                                \
                         : "+r"(n)                                                              \
                         :                                                                      \
                         : "cc", ZMM_ALL);                                                      \
        return 12.0 * (per_instruction);                                                        \
    }
#define I8_512(k) "vpdpbusd %%zmm13, %%zmm12, %%zmm" #k "\n\t"
#define B16_512(k) "vdpbf16ps %%zmm13, %%zmm12, %%zmm" #k "\n\t"
#define F32_512(k) "vfmadd231ps %%zmm13, %%zmm12, %%zmm" #k "\n\t"
#define F32_256(k) "vfmadd231ps %%ymm13, %%ymm12, %%ymm" #k "\n\t"
#define I8_256(k)                                                                                            \
    "vpmaddubsw %%ymm13, %%ymm12, %%ymm14\n\tvpmaddwd %%ymm13, %%ymm14, %%ymm15\n\tvpaddd %%ymm15, %%ymm" #k \
    ", %%ymm" #k "\n\t"
#define B16_256(k) "vpslld $16, %%ymm12, %%ymm14\n\tvfmadd231ps %%ymm13, %%ymm14, %%ymm" #k "\n\t"
DEFINE_LOOP(int8_512, I8_512, zmm, 128)
DEFINE_LOOP(bf16_512, B16_512, zmm, 64)
DEFINE_LOOP(f32_512, F32_512, zmm, 32)
DEFINE_LOOP(f32_256, F32_256, ymm, 16)
DEFINE_LOOP(int8_256, I8_256, ymm, 64)
DEFINE_LOOP(bf16_256, B16_256, ymm, 16)

/* Reads n bytes (a multiple of 512) by plain loads into registers. */
#define LOAD_512(k) "vmovdqu64 64*" #k "(%0), %%zmm" #k "\n\t"
#define LOAD_256(k) "vmovdqu 32*" #k "(%0), %%ymm" #k "\n\t"
static void read_512(const char *p, int64_t n)
{
    const char *end = p + n;
    __asm__ volatile("1:\n\t" R8(LOAD_512) "add $512, %0\n\tcmp %1, %0\n\tjb 1b"
                     : "+r"(p)
                     : "r"(end)
                     : "cc", "memory", ZMM_ALL);
}
static void read_256(const char *p, int64_t n)
{
    const char *end = p + n;
    __asm__ volatile("1:\n\t" R8(LOAD_256) "add $256, %0\n\tcmp %1, %0\n\tjb 1b"
                     : "+r"(p)
                     : "r"(end)
                     : "cc", "memory", ZMM_ALL);
}
#endif

static void read_any(const char *p, int64_t n)
{
    uint64_t a = 0, b = 0;
    for (const char *end = p + n; p < end; p += 64) {
        uint64_t v[8];
        memcpy(v, p, sizeof v);
        a ^= v[0] + v[1] + v[2] + v[3];
        b ^= v[4] + v[5] + v[6] + v[7];
    }
    __asm__ volatile("" : : "r"(a ^ b));
}

static double f32_any(int64_t n)
{
    typedef float v4 __attribute__((vector_size(16)));
    v4 a[8] = {{0}}, x = {0.5f, 0.5f, 0.5f, 0.5f};
    for (int64_t i = 0; i < n; i++) {
        __asm__("" : "+m"(x));
        for (int k = 0; k < 8; k++)
            a[k] += x * x;
    }
    for (int k = 1; k < 8; k++)
        a[0] += a[k];
    __asm__ volatile("" : : "m"(a));
    return 8 * 4 * 2;
}

static double int8_any(int64_t n)
{
    int32_t sum[16] = {0};
    int8_t x[16], y[16];
    memset(x, 3, sizeof x);
    memset(y, -5, sizeof y);
    for (int64_t i = 0; i < n; i++) {
        __asm__("" : "+m"(x), "+m"(y));
        for (int k = 0; k < 16; k++)
            sum[k] += (int16_t)(x[k] * y[k]);
    }
    __asm__ volatile("" : : "m"(sum));
    return 32;
}

struct choice {
    void (*read)(const char *, int64_t);
    double (*loop[N_WHAT])(int64_t);
    const char *isa;
};

static struct choice choose(void)
{
    struct choice c = {read_any, {NULL, int8_any, f32_any, f32_any}, "c"};
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        c = (struct choice){read_256, {NULL, int8_256, bf16_256, f32_256}, "avx2"};
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512f"))
        c = (struct choice){read_512, {NULL, int8_512, bf16_256, f32_512}, "avx512vnni"};
    if (__builtin_cpu_supports("avx512bf16"))
        c.loop[BF16] = bf16_512;
#endif
    return c;
}

static void pin(int index)
{
    cpu_set_t may, one;
    if (sched_getaffinity(0, sizeof may, &may))
        return;
    int n = CPU_COUNT(&may), seen = 0;
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &may) && seen++ == index % n) {
            CPU_ZERO(&one);
            CPU_SET(core, &one);
            sched_setaffinity(0, sizeof one, &one);
        }
}

/* One process: in each slice, as much as fits into the time that all agreed on. */
static void child(const struct choice *c, enum what what, const char *p, int64_t n_bytes, int64_t start,
                  int index, struct report *r)
{
    const int64_t block = 1 << 20;
    int64_t offset = 0;
    pin(index);
    for (int s = 0; s < SLICES; s++) {
        int64_t begin = start + s * (SLICE_NS + 5000000), end = begin + SLICE_NS, t;
        double done = 0;
        while (now() < begin)
            ;
        begin = now();
        do {
            if (what == READ) {
                c->read(p + offset, block);
                offset = offset + 2 * block <= n_bytes ? offset + block : 0;
                done += (double)block;
            } else {
                done += 20000 * c->loop[what](20000);
            }
        } while ((t = now()) < end);
        r->rate[index][s] = done / (double)(t - begin);
    }
    _exit(0);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double measure(const struct choice *c, enum what what, char *p, int64_t n_bytes, int n,
                      struct report *r)
{
    int64_t share = n_bytes / n & ~((int64_t)(1 << 20) - 1), start = now() + 20000000;
    double sum[SLICES];
    fflush(stdout);
    for (int i = 0; i < n; i++)
        if (fork() == 0)
            child(c, what, p + i * share, share, start, i, r);
    while (wait(NULL) > 0)
        ;
    for (int s = 0; s < SLICES; s++) {
        sum[s] = 0;
        for (int i = 0; i < n; i++)
            sum[s] += r->rate[i][s];
    }
    qsort(sum + 1, SLICES - 1, sizeof *sum, ascending); /* the first slice wakes the clocks */
    return sum[1 + (SLICES - 1) * 3 / 4];
}

int main(int argc, char **argv)
{
    int n = (int)sysconf(_SC_NPROCESSORS_ONLN), option;
    int64_t mib = 768;
    while ((option = getopt(argc, argv, "t:m:")) != -1) {
        if (option == 't')
            n = atoi(optarg);
        else if (option == 'm')
            mib = atoll(optarg);
    }
    if (n < 1 || n > MAX_PROCESS || mib < n * 2 || mib > 1 << 20 || optind < argc) {
        fprintf(stderr, "usage: probe [-t processes, 1 to %d] [-m MiB to read, at least 2 for each]\n",
                MAX_PROCESS);
        return 2;
    }
    struct choice c = choose();
    size_t n_bytes = (size_t)mib << 20;
    struct report *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *p = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r == MAP_FAILED || p == MAP_FAILED) {
        fprintf(stderr, "probe: no memory for %lld MiB: give less with -m\n", (long long)mib);
        return 1;
    }
    madvise(p, n_bytes, MADV_HUGEPAGE);
    for (size_t i = 0; i < n_bytes; i += 4096)
        p[i] = (char)i;
    static const char *const name[N_WHAT] = {"read_gb_s", "int8_gop_s", "bf16_gop_s", "f32_gop_s"};
    printf("{\"isa\": \"%s\", \"threads\": %d", c.isa, n);
    for (int what = 0; what < N_WHAT; what++)
        printf(", \"%s\": %.2f", name[what], measure(&c, what, p, (int64_t)n_bytes, n, r));
    puts("}");
    return 0;
}
