/* Compares every kernel row that this CPU can run with the plain C row, bit for bit; with --bench [name] it
 * measures them instead.
 *
 * All rows are of the portable class, so the bound is zero. Inputs end on a page without access, outputs lie
 * between canaries and the gaps of a strided output are compared too. KCHECK_SEED runs a failure again. */
#include "unit.h"
#include "kern/kcheck_ops.h"

/* One case; false, with the words on stderr, if anything differs. */
static bool check_case(const struct kern_row *row, const struct kern_row *plain, struct kern_shape s,
                       bool quiet)
{
    struct call call;
    call_new(&call, row, s);
    struct ringed want = call_output(&call), got = call_output(&call);
    kern_case_call(&call.c, plain, want.p);
    kern_case_call(&call.c, row, got.p);
    size_t at = 0;
    const char *what = NULL;
    if (!ringed_whole(&want) || !ringed_whole(&got))
        what = "writes outside of its output";
    else if (!kern_case_same(&call.c, got.p, want.p, &at))
        what = "differs from plain C";
    if (what && !quiet) {
        uint32_t g = 0, w = 0;
        size_t step = row->op == KERN_TO_F16 || row->op == KERN_TO_BF16 ? 2 : 4;
        memcpy(&g, got.p + at * step, step);
        memcpy(&w, want.p + at * step, step);
        fprintf(stderr,
                "%s %s: kind %d n %d n_tok %d extra %d stride %d gap %d groups %d, element %zu: %08x, plain "
                "C %08x\n",
                row->name, what, s.kind, s.n, s.n_tok, s.extra, s.stride, s.x_gap, s.n_group, at, g, w);
    }
    ringed_free(&want);
    ringed_free(&got);
    call_free(&call);
    return !what;
}

static void check_row(const struct kern_row *row)
{
    const struct kern_row *plain = kern_plain(row);
    assert_non_null(plain);
    int n_case = 0, n_bad = 0;
    const int step =
        getenv("LATHE_EMULATED") ? 5 : 1; /* of all kinds and shapes still, an emulator is slow */
    struct kern_shape s;
    for (int i = 0; shape_at(row, i, &s); i += step, n_case++)
        n_bad += !check_case(row, plain, s, n_bad >= 5);
    printf("%-34s %d cases\n", row->name, n_case);
    assert_true(n_case > 0);
    assert_int_equal(n_bad, 0);
}

static void rows_of(enum cpu_isa isa)
{
    if (!cpu_supports(isa))
        skip();
    int n_row = 0;
    for (int i = 0; kern_row(i); i++)
        if (kern_row(i)->isa == isa) {
            check_row(kern_row(i));
            n_row++;
        }
#ifndef LATHE_COMMON_KERNELS
    assert_true(n_row > 0);
#endif
}

#define X(name, text)                     \
    static void rows_##name(void **state) \
    {                                     \
        rows_of(CPU_##name);              \
    }
CPU_ISAS(X)
#undef X

/* Every row of plain C must have a fast one in each instruction set that is a level of its own; int8 tiles in all. */
static void every_operation_on_every_level(void **state)
{
#if defined(__x86_64__)
    static const enum cpu_isa levels[] = {CPU_AVX2, CPU_AVX512VNNI}, dots[] = {CPU_AVXVNNI, CPU_AMXINT8};
#else
    static const enum cpu_isa levels[] = {CPU_NEON}, dots[] = {CPU_DOTPROD, CPU_I8MM};
#endif
#ifdef LATHE_COMMON_KERNELS
    const size_t n_dots = 0;
#else
    const size_t n_dots = sizeof dots / sizeof *dots;
#endif
    int n = 0;
    for (int i = 0; kern_row(i); i++, n++) {
        const struct kern_row *r = kern_row(i);
        assert_non_null(kern_plain(r));
        assert_non_null(kern_choose(r->op, r->format, KERN_ONE));
        assert_string_not_equal(kern_choose(r->op, r->format, KERN_MANY)->class_name, "twin");
        for (size_t k = 0; k < sizeof levels / sizeof *levels; k++)
            assert_non_null(kern_find(r->op, r->format, levels[k]));
        for (size_t k = 0; r->op == KERN_TILE_DOT && k < n_dots; k++)
            assert_non_null(kern_find(r->op, r->format, dots[k]));
    }
    assert_true(n > 0);
}

/* What few CPUs can run has a twin that more can, of the same operation; listed are neither twins nor what comes after. */
static void every_rare_row_has_a_twin(void **state)
{
    struct lathe_kernel_info k;
    int n_twin = 0, i = 0;
    for (; kern_row(i); i++) {
        const struct kern_row *r = kern_row(i), *twin = kern_twin(r);
        bool is_twin = strcmp(r->class_name, "twin") == 0;
        n_twin += is_twin;
        assert_true(is_twin == (n_twin > 0));
        bool listed = lathe_kernel(i, &k); /* from the first twin on rows of other processors */
        assert_true(listed || is_twin);
        if (listed)
            assert_true(strcmp(k.name, r->name) == 0 ? !is_twin : is_twin && !k.available);
        if (twin) {
            assert_true(twin->op == r->op && twin->format == r->format && twin->isa != r->isa);
            assert_string_equal(twin->class_name, "twin");
        }
#if defined(__x86_64__)
        if (r->isa == CPU_AVXVNNI || r->isa == CPU_AMXINT8 || r->isa == CPU_AMXBF16) {
            assert_non_null(twin);
            if (!cpu_has(r->isa) && cpu_has(twin->isa))
                assert_string_equal(k.verdict, "twin passed");
        }
#endif
    }
    assert_true(i > 0);
}

/* A row of output depends on its token alone: any number of tokens gives each the bits that it has by itself. The portable
 * class has that from plain C; in the native one it is what makes answers independent of their company. */
static void one_token_as_twelve(void **state)
{
    int n = 0;
    for (int i = 0; kern_row(i); i++) {
        const struct kern_row *r = kern_row(i);
        if (r->op != KERN_TILE_F32 || !cpu_supports(r->isa) || strcmp(r->activation, "bf16") != 0)
            continue;
        for (int n_k = 1; n_k < 1100; n_k += 1 + n_k / 3, n++) {
            struct call call;
            call_new(&call, r, (struct kern_shape){KIND_RANDOM, n_k, TILE_TOK, 0, LANES, 0, 1});
            struct ringed all = call_output(&call), some = call_output(&call);
            kern_case_call(&call.c, r, all.p);
            for (int n_tok = 1; n_tok <= TILE_TOK; n_tok++)
                for (int t = 0; t + n_tok <= TILE_TOK; t += n_tok) {
                    ((tile_f32_fn *)r->fn)(call.c.in[0], LANES, LANES, 1, n_k,
                                           (float *)call.c.in[1] + t * n_k, n_k, n_tok, false,
                                           (float *)some.p + t * LANES, LANES);
                    assert_memory_equal(all.p + t * LANES * 4, some.p + t * LANES * 4,
                                        (size_t)n_tok * LANES * 4);
                }
            ringed_free(&all);
            ringed_free(&some);
            call_free(&call);
        }
    }
    if (n == 0)
        skip();
}

/* ---- benchmark ---- */

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* a busy neighbour on the core does not count */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Multiply-adds x 2 of a call, or 0: then its bytes count. */
static double n_ops(const struct kern_case *c)
{
    double n = 2.0 * c->s.n * LANES * c->s.n_tok;
    if (c->row->op == KERN_TILE_F32 || c->row->op == KERN_TILE_SPAN)
        return n * c->s.n_group;
    return c->row->op == KERN_TILE_DOT ? n * ACT_BLOCK : 0;
}

static double n_bytes(const struct kern_case *c)
{
    double n = (double)(c->in_bytes[0] + c->out_bytes);
    return c->row->op == KERN_SPAN_MERGE || c->row->op == KERN_SILU_MUL ? n + (double)c->in_bytes[1] : n;
}

static void bench_shape(const struct kern_row *row, struct kern_shape s)
{
    struct call call;
    call_new(&call, row, s);
    struct ringed out = call_output(&call);
    double best = 1e30, ops = n_ops(&call.c);
    int n_loop = 1;
    for (int round = 0; round < 7; round++) { /* the first finds the loop count: some 10 ms */
        double start = now_s();
        for (int i = 0; i < n_loop; i++)
            kern_case_call(&call.c, row, out.p);
        double t = (now_s() - start) / n_loop;
        if (round == 0)
            n_loop = t < 0.01 ? (int)(0.01 / (t + 1e-8)) + 1 : 1;
        else
            best = t < best ? t : best;
    }
    printf("%-34s n %5d tokens %2d %9.1f %s\n", row->name, s.n, s.n_tok,
           (ops > 0 ? ops : n_bytes(&call.c)) / best * 1e-9, ops > 0 ? "GOP/s" : "GB/s");
    ringed_free(&out);
    call_free(&call);
}

static int bench(const char *filter)
{
    static const int tokens[] = {1, 4, 12};
    for (int i = 0; kern_row(i); i++) {
        const struct kern_row *row = kern_row(i);
        if (!cpu_supports(row->isa) || (filter && !strstr(row->name, filter)))
            continue;
        bool tile = row->op == KERN_TILE_DOT || row->op == KERN_TILE_F32 || row->op == KERN_TILE_SPAN;
        for (int t = 0; t < (tile ? 3 : 1); t++) {
            struct kern_shape s = {.kind = KIND_RANDOM, .n = 4096, .n_tok = tokens[t], .stride = LANES};
            if (row->op == KERN_TILE_DOT)
                s.n = 2048 / ACT_BLOCK;
            else if (row->op == KERN_TILE_F32 || row->op == KERN_TILE_SPAN || row->op == KERN_PACK_SPAN)
                s = (struct kern_shape){KIND_RANDOM, 64, tokens[t], 0, 4 * LANES, 3, 4};
            else if (row->op == KERN_SPAN_MERGE || row->op == KERN_SPAN_SOFTMAX)
                s = (struct kern_shape){.kind = KIND_RANDOM, .n = 64, .n_tok = 12};
            else if (row->op == KERN_UNPACK || row->op == KERN_QUANTIZE)
                s = (struct kern_shape){
                    .kind = KIND_RANDOM, .n = 576, .n_tok = row->op == KERN_QUANTIZE ? 4 : 0};
            bench_shape(row, s);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    rng_start();
    if (argc > 1 && !strcmp(argv[1], "--bench"))
        return bench(argc > 2 ? argv[2] : NULL);
    const struct CMUnitTest tests[] = {
#define X(name, text) cmocka_unit_test(rows_##name),
        CPU_ISAS(X)
#undef X
            cmocka_unit_test(every_operation_on_every_level),
        cmocka_unit_test(every_rare_row_has_a_twin),
        cmocka_unit_test(one_token_as_twelve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
