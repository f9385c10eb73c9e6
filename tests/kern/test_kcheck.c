/* Compares every kernel row that this CPU can run with the plain C row, bit for bit; with --bench [name] it
 * measures them instead.
 *
 * All rows are of the portable class, so the bound is zero. Inputs end on a page without access, outputs lie
 * between canaries and the gaps of a strided output are compared too. KCHECK_SEED runs a failure again. */
#include "unit.h"
#include "kern/kcheck_ops.h"

static int n_same(const struct call *c, const uint8_t *a, const uint8_t *b, size_t *at)
{
    size_t step = c->out_is_half ? 2 : 4;
    for (size_t i = 0; i < c->out_bytes; i += step) {
        uint16_t ha, hb;
        float fa, fb;
        memcpy(c->out_is_half ? (void *)&ha : (void *)&fa, a + i, step);
        memcpy(c->out_is_half ? (void *)&hb : (void *)&fb, b + i, step);
        *at = i / step;
        if (c->out_is_half ? !same_half(ha, hb) : !same_float(fa, fb))
            return false;
    }
    return true;
}

/* The largest of a row of zeros may be either zero: nothing that follows can tell. */
static void one_zero(const struct call *c, uint8_t *out)
{
    float *max = (float *)out + c->s.n_tok * 64;
    for (int q = 0; c->row->op == KERN_SPAN_SOFTMAX && q < c->s.n_tok; q++)
        max[q] = max[q] == 0 ? 0.0f : max[q];
}

/* One case; false, with the words on stderr, if anything differs. */
static bool check_case(const struct kern_row *row, const struct kern_row *plain, struct shape s, bool quiet)
{
    struct call c = {.row = row, .s = s};
    prepare(&c);
    struct ringed want = call_output(&c), got = call_output(&c);
    call_row(&c, plain, want.p);
    call_row(&c, row, got.p);
    one_zero(&c, want.p);
    one_zero(&c, got.p);
    size_t at = 0;
    const char *what = NULL;
    if (!ringed_whole(&want) || !ringed_whole(&got))
        what = "writes outside of its output";
    else if (!n_same(&c, got.p, want.p, &at))
        what = "differs from plain C";
    if (what && !quiet) {
        uint32_t g = 0, w = 0;
        memcpy(&g, got.p + at * (c.out_is_half ? 2 : 4), c.out_is_half ? 2 : 4);
        memcpy(&w, want.p + at * (c.out_is_half ? 2 : 4), c.out_is_half ? 2 : 4);
        fprintf(stderr, "%s %s: kind %d n %d n_tok %d extra %d stride %d, element %zu: %08x, plain C %08x\n",
                row->name, what, s.kind, s.n, s.n_tok, s.extra, s.stride, at, g, w);
    }
    ringed_free(&want);
    ringed_free(&got);
    call_free(&c);
    return !what;
}

static void check_row(const struct kern_row *row)
{
    const struct kern_row *plain = kern_find(row->op, row->format, CPU_C);
    assert_non_null(plain);
    assert_string_equal(row->class_name, "portable");
    int n_case = 0, n_bad = 0;
    struct shape s;
    for (int i = 0; shape_at(row, i, &s); i++, n_case++)
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
    assert_true(n_row > 0);
}

#define X(name, text)                     \
    static void rows_##name(void **state) \
    {                                     \
        rows_of(CPU_##name);              \
    }
CPU_ISAS(X)
#undef X

/* Every row of plain C must have a twin in every wider instruction set, or a level would mix two. */
static void every_operation_on_every_level(void **state)
{
    int n = 0;
    for (int i = 0; kern_row(i); i++) {
        const struct kern_row *r = kern_row(i);
        assert_non_null(kern_find(r->op, r->format, CPU_C));
        assert_non_null(kern_choose(r->op, r->format));
        n++;
#if defined(__x86_64__)
        for (int isa = 0; isa < CPU_N_ISA; isa++)
            assert_non_null(kern_find(r->op, r->format, (enum cpu_isa)isa));
#endif
    }
    assert_true(n > 0);
}

/* ---- benchmark ---- */

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* a busy neighbour on the core does not count */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void bench_shape(const struct kern_row *row, struct shape s)
{
    struct call c = {.row = row, .s = s};
    prepare(&c);
    struct ringed out = call_output(&c);
    double best = 1e30;
    int n_loop = 1;
    for (int round = 0; round < 7; round++) { /* the first finds the loop count: some 10 ms */
        double start = now_s();
        for (int i = 0; i < n_loop; i++)
            call_row(&c, row, out.p);
        double t = (now_s() - start) / n_loop;
        if (round == 0)
            n_loop = t < 0.01 ? (int)(0.01 / (t + 1e-8)) + 1 : 1;
        else
            best = t < best ? t : best;
    }
    printf("%-34s n %5d tokens %2d %9.1f %s\n", row->name, s.n, s.n_tok,
           (c.n_ops > 0 ? c.n_ops : c.n_bytes) / best * 1e-9, c.n_ops > 0 ? "GOP/s" : "GB/s");
    ringed_free(&out);
    call_free(&c);
}

static int bench(const char *filter)
{
    static const int tokens[] = {1, 4, 12};
    for (int i = 0; kern_row(i); i++) {
        const struct kern_row *row = kern_row(i);
        if (!cpu_supports(row->isa) || (filter && !strstr(row->name, filter)))
            continue;
        bool tile = row->op == KERN_TILE_DOT || row->op == KERN_TILE_F32;
        for (int t = 0; t < (tile ? 3 : 1); t++) {
            struct shape s = {KIND_RANDOM, 4096, tokens[t], 0, LANES, 0};
            if (row->op == KERN_TILE_DOT)
                s.n = 2048 / ACT_BLOCK;
            else if (row->op == KERN_TILE_F32)
                s = (struct shape){KIND_RANDOM, 64, tokens[t], 0, 4 * LANES, 4};
            else if (row->op == KERN_SPAN_MERGE)
                s = (struct shape){KIND_RANDOM, 64, 12, 0, 0, 0};
            else if (row->op == KERN_SPAN_SOFTMAX)
                s = (struct shape){KIND_RANDOM, 64, 12, 0, 0, 0};
            else if (row->op == KERN_UNPACK || row->op == KERN_QUANTIZE)
                s = (struct shape){KIND_RANDOM, 576, row->op == KERN_QUANTIZE ? 4 : 0, 0, 0, 0};
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
