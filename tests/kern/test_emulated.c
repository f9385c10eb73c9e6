/* Kernels for AMX and AVX-VNNI as they were compiled, on CPUs that have neither: each such instruction is emulated
 * (emulate.h). Twins show that the source is right; this shows that the compiler made of it what it says: operands in
 * their places, nothing moved across a tile's load. */
#include "unit.h"
#if defined(__x86_64__) && !defined(LATHE_PLAIN_KERNELS) && !defined(LATHE_COMMON_KERNELS)
#include "base/amx.h"
#include "kern/emulate.h"
#include "kern/kcheck_ops.h"

static struct kern_shape shape_of(const struct kern_row *row, int i)
{
    static const int tokens[] = {1, 2, 3, 4, 5, 8, 9, 11, 12};
    struct kern_shape s = {
        .n_tok = tokens[i % 9], .extra = i / 2 % 2, .stride = LANES + i % 3, .x_gap = i % 2};
    s.kind = i < 9 ? KIND_RANDOM : (enum kern_kind)(i % N_KIND);
    if (row->op == KERN_TILE_DOT) {
        s.n = format_by_id((uint32_t)row->format)->block_n / ACT_BLOCK * (1 + i % 4);
    } else {
        s.n = 1 + i * 29;
        s.n_group = 1 + i % 2;
        s.stride += LANES * (s.n_group - 1);
    }
    return s;
}

static void check(const struct kern_row *row)
{
    int n_before = n_emulated;
    emulated_tiles = (struct amx_model){0};
    amx_configured = NULL;
    for (int i = 0; i < 18; i++) {
        struct call call;
        call_new(&call, row, shape_of(row, i));
        struct ringed want = call_output(&call), got = call_output(&call);
        size_t at;
        kern_case_call(&call.c, kern_plain(row), want.p);
        kern_case_call(&call.c, row, got.p);
        if (emulated_tiles.fault)
            fail_msg("%s: %s", row->name, emulated_tiles.fault);
        if (!ringed_whole(&got) || !kern_case_same(&call.c, got.p, want.p, &at))
            fail_msg("%s: case %d differs from plain C", row->name, i);
        ringed_free(&want);
        ringed_free(&got);
        call_free(&call);
    }
    if (cpu_supports(row->isa)) /* then it ran by itself */
        return;
    assert_true(n_emulated > n_before);
    if (row->isa != CPU_AVXVNNI) { /* what a worker does when its run ends */
        assert_true(emulated_tiles.configured && amx_configured);
        amx_release();
        assert_true(!emulated_tiles.configured && !amx_configured);
    }
}

/* With what else the rows need. */
static void rows_of(enum cpu_isa isa, enum cpu_isa needs)
{
    int n = 0;
    if (!cpu_supports(needs))
        skip();
    /* asks for tiles where the CPU has them; else half of their instructions would be emulated */
    (void)cpu_supports(isa);
    emulate();
    for (int i = 0; kern_row(i); i++)
        if (kern_row(i)->isa == isa) {
            check(kern_row(i));
            n++;
        }
    signal(SIGILL, SIG_DFL);
    assert_true(n > 0);
}

static void tiles_of_int8(void **state)
{
    rows_of(CPU_AMXINT8, CPU_AVX512VNNI);
}

static void tiles_of_bf16(void **state)
{
    rows_of(CPU_AMXBF16, CPU_AVX512BF16);
}

static void dots_of_bytes(void **state)
{
    rows_of(CPU_AVXVNNI, CPU_AVX2);
}

int main(void)
{
    rng_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_of_int8),
        cmocka_unit_test(tiles_of_bf16),
        cmocka_unit_test(dots_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void nothing_to_emulate(void **state)
{
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_to_emulate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
