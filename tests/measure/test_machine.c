/* Tests of the machine's probes: every loop this CPU can run counts its work and sees its data. */
#include "unit.h"
#include <stdlib.h>
#include <string.h>
#include "base/cpu.h"
#include "measure/machine.h"

/* All read loops see all bytes: the sum of 64-bit words of a buffer with one word set, wherever it is. */
static void read_loops_read_everything(void **state)
{
    enum { N = 4096 };
    uint64_t *p = aligned_alloc(64, N);
    machine_loop *loops[3] = {machine_read_c};
    int n = 1;
#ifdef __x86_64__
    if (cpu_supports(CPU_AVX2))
        loops[n++] = machine_read_avx2;
    if (cpu_supports(CPU_AVX512VNNI))
        loops[n++] = machine_read_avx512vnni;
#endif
    for (int k = 0; k < n; k++) {
        uint64_t before = 0;
        for (int i = 0; i < N / 8; i++) {
            memset(p, 0, N);
            p[i] = 1000;
            uint64_t sink = 0;
            assert_true(loops[k]((const uint8_t *)p, N, &sink) == N);
            before += sink;
        }
        assert_true(before == 1000 * (N / 8));
    }
    free(p);
}

/* Work per round of a loop in registers is constant and at least one vector. */
static void work_grows_with_rounds(machine_loop *loop)
{
    uint64_t sink = 0;
    double one = loop(NULL, 1, &sink);
    assert_true(one >= 8 && loop(NULL, 1000, &sink) == 1000 * one);
}

static void every_loop_counts_its_work(void **state)
{
    for (int rate = MACHINE_INT8; rate < MACHINE_N_RATE; rate++) {
        const struct machine_probe *probe = machine_probe_find(rate);
        assert_non_null(probe);
        assert_int_equal(probe->rate, rate);
        work_grows_with_rounds(probe->loop);
    }
    work_grows_with_rounds(machine_int8_c);
    work_grows_with_rounds(machine_bf16_c);
    work_grows_with_rounds(machine_f32_c);
#ifdef __x86_64__
    if (cpu_supports(CPU_AVX2)) {
        work_grows_with_rounds(machine_int8_avx2);
        work_grows_with_rounds(machine_bf16_avx2);
        work_grows_with_rounds(machine_f32_avx2);
    }
#endif
}

static void only_what_is_asked_for_is_measured(void **state)
{
    struct machine_rates r = {-1, -1, -1, -1};
    machine_measure(1u << MACHINE_F32, 1, MACHINE_ROUNDS, &r);
    assert_true(r.f32_gop_s > 0);
    assert_true(r.read_gb_s == -1 && r.int8_gop_s == -1 && r.bf16_gop_s == -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_loops_read_everything),
        cmocka_unit_test(every_loop_counts_its_work),
        cmocka_unit_test(only_what_is_asked_for_is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
