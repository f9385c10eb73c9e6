/* The check that a kernel row must pass before it answers, the choice by verdicts, and the file that keeps them. */
#include "unit.h"
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kern/kern_check.h"
#include "kern/kern_cost.h"
#include "kern/kern_trap.h"
#include "kern/kern_verdicts.h"
#include "kern/panel.h"
#include "kern/scalar.h"
#include "kern/span.h"
#include "float_state.h"
#include "tmp_dir.h"

static const struct kern_row *plain_of(const struct kern_row *r)
{
    return kern_plain(r);
}

static int every_row_once(void)
{
    int n = 0;
    for (int i = 0; kern_row(i); i++)
        if (cpu_supports(kern_row(i)->isa)) {
            if (!kern_check_row(kern_row(i), plain_of(kern_row(i))))
                fail_msg("%s", kern_row(i)->name);
            n++;
        }
    return n;
}

static void every_row_passes(void **state)
{
    assert_true(every_row_once() > 0);
}

/* A caller may flush denormals (-ffast-math does); the check is of the kernel, not of that. */
static void passes_whatever_the_caller_rounds_like(void **state)
{
    unsigned was = float_state();
    float_state_set(was | ODD_STATE);
    int n = every_row_once();
    unsigned after = float_state();
    float_state_set(was);
    assert_true(n > 0);
    assert_int_equal(after & ODD_STATE, ODD_STATE);
}

/* ---- kernels with one fault each ---- */

static void lane_off(const uint8_t *panel, int n_block, const struct act_block *x, int64_t group_stride,
                     int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_dot_q4_1_c(panel, n_block, x, group_stride, n_tok, add, y, y_stride);
    float last = y[(n_tok - 1) * y_stride + 7];
    y[(n_tok - 1) * y_stride + 7] = y[(n_tok - 1) * y_stride + 8];
    y[(n_tok - 1) * y_stride + 8] = last;
}

static void never_adds(const uint8_t *panel, int n_block, const struct act_block *x, int64_t group_stride,
                       int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_dot_q4_0_c(panel, n_block, x, group_stride, n_tok, false, y, y_stride);
}

static void odd_block_dropped(const uint8_t *panel, int n_block, const struct act_block *x,
                              int64_t group_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_dot_q8_0_c(panel, n_block > 2 ? n_block / 2 * 2 : n_block, x, group_stride, n_tok, add, y, y_stride);
}

static void twelfth_token_one_bit(const uint8_t *panel, int n_block, const struct act_block *x,
                                  int64_t group_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_dot_q8_0_c(panel, n_block, x, group_stride, n_tok, add, y, y_stride);
    if (n_tok == 12)
        y[11 * y_stride + 15] = nextafterf(y[11 * y_stride + 15], 0);
}

static void writes_between_rows(const uint8_t *panel, int n_block, const struct act_block *x,
                                int64_t group_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_dot_q4_0_c(panel, n_block, x, group_stride, n_tok, add, y, y_stride);
    if (n_tok > 1 && y_stride > LANES)
        y[LANES] = 0;
}

static void one_group_for_all(const uint8_t *panel, int n_block, const struct act_block *x,
                              int64_t group_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_dot_q4_1_c(panel, n_block, x, n_block, n_tok, add, y, y_stride); /* takes groups for adjacent */
}

/* Multiplies and adds with two roundings. */
static void unfused(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k, const float *x,
                    int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    for (int i = 0; i < n_tok * n_group * LANES; i++) {
        int t = i / (n_group * LANES), g = i / LANES % n_group, r = i % LANES;
        float *out = y + t * y_stride + g * LANES + r, acc = add ? *out : 0;
        for (int k = 0; k < n_k; k++)
            acc += ((const float *)w)[g * w_group + k * w_stride + r] * x[t * x_stride + k];
        *out = acc;
    }
}

static void wrong_at_x_stride_64(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k,
                                 const float *x, int64_t x_stride, int n_tok, bool add, float *y,
                                 int64_t y_stride)
{
    tile_f16_c(w, w_stride, w_group, n_group, n_k, x, x_stride == 64 && n_tok > 8 ? 63 : x_stride, n_tok, add,
               y, y_stride);
}

/* Reads bf16 as if it were f16. */
static void another_half(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k,
                         const float *x, int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_f16_c(w, w_stride, w_group, n_group, n_k, x, x_stride, n_tok, add, y, y_stride);
}

static void first_column_ignored(const uint8_t *panel, int k0, int n_k, float *out)
{
    unpack_q4_1_c(panel, 0, n_k, out);
}

static void one_bit(const uint8_t *panel, int k0, int n_k, float *out)
{
    unpack_bf16_c(panel, k0, n_k, out);
    out[n_k * LANES - 1] = scalar_from_bits(scalar_bits(out[n_k * LANES - 1]) ^ 1);
}

/* Halves away from zero instead of to even. */
static void rounds_away(const float *x, int64_t x_stride, int n_tok, int n_col, struct act_block *out)
{
    quantize_c(x, x_stride, n_tok, n_col, out);
    for (int b = 0; b < n_col / ACT_BLOCK; b++)
        for (int t = 0; t < n_tok; t++)
            for (int i = 0; i < ACT_BLOCK && out[b].d[t] == 1.0f; i++)
                out[b].q[i / 4][t][i % 4] = (int8_t)roundf(x[t * x_stride + b * ACT_BLOCK + i]);
}

static void sums_in_a_row(const float *x, const float *w, int n, float eps, float *y)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum = __builtin_fmaf(x[i], x[i], sum);
    float scale = 1.0f / sqrtf(sum / (float)n + eps);
    for (int i = 0; i < n; i++)
        y[i] = x[i] * scale * w[i];
}

static void reads_what_it_wrote(const float *x, const float *cs, int n_pair, float scale, float *y)
{
    for (int i = 0; i < n_pair; i++) {
        float c = cs[2 * i], s = cs[2 * i + 1];
        y[2 * i] = __builtin_fmaf(-x[2 * i + 1], s, x[2 * i] * c) * scale;
        y[2 * i + 1] = __builtin_fmaf(x[2 * i], s, x[2 * i + 1] * c) * scale; /* wrong in place */
    }
}

static void libm_exp(const float *g, const float *u, float *h, int n)
{
    for (int i = 0; i < n; i++)
        h[i] = g[i] / (1.0f + (float)exp(-(double)g[i])) * u[i];
}

static void one_key_more(float *s, int n_query, const int *n_key, float *max, float *sum)
{
    int n[16];
    for (int q = 0; q < n_query; q++)
        n[q] = n_key[q] == 63 ? 64 : n_key[q] == 1 ? 2 : n_key[q];
    span_softmax_c(s, n_query, n, max, sum);
}

static void reads_the_missing(float *run_max, float *run_sum, float *run_out, const float *max,
                              const float *sum, const float *out, int n_query, int n)
{
    for (int q = 0; q < n_query; q++, run_out += n, out += n) {
        if (max[q] == -INFINITY)
            continue;
        float m = max[q] > run_max[q] ? max[q] : run_max[q];
        float a = run_max[q] == -INFINITY ? 0.0f : scalar_exp2(run_max[q] - m), b = scalar_exp2(max[q] - m);
        run_max[q] = m;
        run_sum[q] = __builtin_fmaf(run_sum[q], a, sum[q] * b);
        for (int i = 0; i < n; i++)
            run_out[i] = __builtin_fmaf(run_out[i], a, out[i] * b);
    }
}

/* Ties up instead of to even. */
static void half_up(const float *x, uint16_t *y, int n)
{
    to_f16_c(x, y, n);
    for (int i = 0; i < n; i++) {
        uint16_t up = (uint16_t)(y[i] + 1);
        if (fabsf(x[i]) < 60000 && fabsf(f16_to_f32(up) - x[i]) == fabsf(x[i] - f16_to_f32(y[i])))
            y[i] = up;
    }
}

static void bf16_half_up(const float *x, uint16_t *y, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = x[i] != x[i] ? f32_to_bf16(x[i]) : (uint16_t)((scalar_bits(x[i]) + 0x8000) >> 16);
}

static void bf16_nan_overflows(const float *x, uint16_t *y, int n)
{
    for (int i = 0; i < n; i++) /* a NaN of the lowest bits only reads as infinity */
        y[i] = x[i] != x[i] ? 0x7f80 : f32_to_bf16(x[i]);
}

static int last_largest(const float *x, int n)
{
    int best = argmax_c(x, n);
    for (int i = n - 1; best >= 0 && i > best; i--)
        if (x[i] == x[best])
            return i;
    return best;
}

static int knows_no_nan(const float *x, int n)
{
    int best = 0;
    for (int i = 0; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

static float no_tree(const float *x, int n, float max)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += scalar_exp(x[i] - max);
    return sum;
}

static void does_nothing(const uint8_t *panel, int k0, int n_k, float *out)
{
}

static void strip_descending(const uint8_t *strip, int n_group, int n_row, const float *x, int64_t x_stride,
                             int n_tok, float *y, int64_t y_stride)
{
    const uint8_t *codes = strip + strip_head_bytes(n_row);
    for (int i = 0; i < n_tok * n_group * LANES; i++) {
        int t = i / (n_group * LANES), lane = i % (n_group * LANES);
        float acc = 0;
        for (int k = n_row - 1; k >= 0; k--) {
            struct strip_row row;
            memcpy(&row, strip + (size_t)k * sizeof row, sizeof row);
            float code = codes[k * n_group * LANES + lane];
            float w = __builtin_fmaf(code, f16_to_f32(row.scale), f16_to_f32(row.least));
            acc = __builtin_fmaf(w, x[t * x_stride + k], acc);
        }
        y[t * y_stride + lane] = acc;
    }
}

static void odd_groups_keep_rubbish(const uint16_t *half, int64_t stride, int n_group, int n_row,
                                    uint8_t *strip)
{
    pack_span_q4_c(half, stride, n_group, n_row, strip);
    if (n_group % 2)
        strip[strip_bytes(FORMAT_Q4_1, n_group, n_row) - 1] |= 0xf0;
}

static void negative_zero(const uint16_t *half, int64_t stride, int n_group, int n_row, uint8_t *strip)
{
    pack_span_q8_c(half, stride, n_group, n_row, strip);
    for (int k = 0; k < n_row; k++)
        if (strip[4 * k + 2] == 0 && strip[4 * k + 3] == 0)
            strip[4 * k + 3] = 0x80;
}

#define WRONG(OP, WEIGHT, fn)                                                                     \
    {                                                                                             \
        KERN_##OP, #OP, #WEIGHT, "-", FORMAT_##WEIGHT, CPU_C, #fn, "portable", (void (*)(void))fn \
    }

static void faults_are_caught(void **state)
{
    static const struct kern_row wrong[] = {
        WRONG(TILE_DOT, Q4_1, lane_off),
        WRONG(TILE_DOT, Q4_0, never_adds),
        WRONG(TILE_DOT, Q8_0, odd_block_dropped),
        WRONG(TILE_DOT, Q8_0, twelfth_token_one_bit),
        WRONG(TILE_DOT, Q4_0, writes_between_rows),
        WRONG(TILE_DOT, Q4_1, one_group_for_all),
        WRONG(TILE_F32, F32, unfused),
        WRONG(TILE_F32, F16, wrong_at_x_stride_64),
        WRONG(TILE_SPAN, Q8_1, strip_descending),
        WRONG(PACK_SPAN, Q4_1, odd_groups_keep_rubbish),
        WRONG(PACK_SPAN, Q8_1, negative_zero),
        WRONG(UNPACK, Q4_1, first_column_ignored),
        WRONG(UNPACK, BF16, one_bit),
        WRONG(UNPACK, F16, does_nothing),
        WRONG(QUANTIZE, F32, rounds_away),
        WRONG(RMSNORM, F32, sums_in_a_row),
        WRONG(ROPE, F32, reads_what_it_wrote),
        WRONG(SILU_MUL, F32, libm_exp),
        WRONG(SPAN_SOFTMAX, F32, one_key_more),
        WRONG(SPAN_MERGE, F32, reads_the_missing),
        WRONG(TO_F16, F32, half_up),
        WRONG(TILE_F32, BF16, another_half),
        WRONG(TO_BF16, F32, bf16_half_up),
        WRONG(TO_BF16, F32, bf16_nan_overflows),
        WRONG(ARGMAX, F32, last_largest),
        WRONG(ARGMAX, F32, knows_no_nan),
        WRONG(SUM_EXP, F32, no_tree),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (kern_check_row(&wrong[i], kern_find(wrong[i].op, wrong[i].format, CPU_C)))
            fail_msg("%s is not caught", wrong[i].name);
}

/* ---- kernels that the CPU refuses ---- */

static void illegal(float *x, int n, float cap)
{
    raise(SIGILL);
}

static void bad_access(float *x, int n, float cap)
{
    raise(SIGSEGV);
}

static volatile sig_atomic_t n_former;

static void former(int sig)
{
    n_former++;
}

static void *fault_elsewhere(void *arg)
{
    raise(SIGILL);
    return NULL;
}

static void fault_of_another(void *arg)
{
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, fault_elsewhere, NULL), 0);
    pthread_join(t, NULL);
}

/* They fail, the program goes on, and its own handlers stand again; they had the faults of other threads meanwhile. */
static void a_fault_is_a_failure(void **state)
{
    static const struct kern_row wrong[] = {WRONG(SOFTCAP, F32, illegal), WRONG(SOFTCAP, F32, bad_access)};
    struct sigaction sa = {.sa_handler = former}, old, now;
    sigaction(SIGILL, &sa, &old);
    for (int i = 0; i < 2; i++) {
        const struct kern_row *row = &wrong[i];
        uint32_t cost_ps[1][KERN_N_LOAD];
        assert_false(kern_check_row(row, kern_find(KERN_SOFTCAP, FORMAT_F32, CPU_C)));
        assert_false(kern_cost_measure(&row, 1, cost_ps));
    }
    assert_int_equal(n_former, 0);
    assert_true(kern_trap(fault_of_another, NULL));
    assert_int_equal(n_former, 1);
    sigaction(SIGILL, &old, &now);
    assert_true(now.sa_handler == former);
}

/* ---- the choice ---- */

static int n_check, n_time;
static bool can_time = true;
static enum cpu_isa broken = CPU_N_ISA; /* rows of it fail */
static uint32_t price[KERN_N_LOAD][CPU_N_ISA];

static bool fake_check(const struct kern_row *row, const struct kern_row *plain)
{
    assert_true(cpu_has(row->isa) && row->isa != CPU_C);
    assert_ptr_equal(plain, plain_of(row));
    n_check++;
    return row->isa != broken;
}

static bool fake_time(const struct kern_row *const *r, int n, uint32_t (*cost_ps)[KERN_N_LOAD])
{
    assert_true(n > 1);
    for (int i = 0; i < n; i++) {
        assert_true(cpu_has(r[i]->isa) && r[i]->isa != CPU_C && r[i]->op == r[0]->op);
        for (int load = 0; load < KERN_N_LOAD; load++)
            cost_ps[i][load] = price[load][r[i]->isa];
    }
    n_time++;
    return can_time;
}

static const struct kern_trial fake = {fake_check, fake_time};

/* The wider an instruction set the cheaper, by steps that are no noise; or the dearer. */
static void prices(enum kern_load load, bool wide_is_cheap)
{
    for (int isa = 0; isa < CPU_N_ISA; isa++)
        price[load][isa] = 1000u * (uint32_t)(wide_is_cheap ? CPU_N_ISA - isa : 1 + isa);
}

/* The row of an operation in the widest instruction set here but `except`. */
static const struct kern_row *widest_row(const struct kern_row *of, enum cpu_isa except)
{
    for (int isa = CPU_N_ISA - 1; isa > CPU_C; isa--) {
        const struct kern_row *r = kern_find(of->op, of->format, (enum cpu_isa)isa);
        if (r && cpu_has((enum cpu_isa)isa) && isa != (int)except)
            return r;
    }
    return kern_find(of->op, of->format, CPU_C);
}

static const struct kern_row *narrowest_row(const struct kern_row *of)
{
    for (int isa = CPU_C + 1; isa < CPU_N_ISA; isa++)
        if (cpu_has((enum cpu_isa)isa) && kern_find(of->op, of->format, (enum cpu_isa)isa))
            return kern_find(of->op, of->format, (enum cpu_isa)isa);
    return kern_find(of->op, of->format, CPU_C);
}

/* The widest instruction set here that has all operations. */
static enum cpu_isa top_isa(void)
{
    return widest_row(kern_find(KERN_ROPE, FORMAT_F32, CPU_C), CPU_N_ISA)->isa;
}

/* Rows of the specification: what is chosen for each counts. */
static int n_operation(void)
{
    int n = 0;
    while (kern_row(n) && kern_row(n)->isa == CPU_C)
        n++;
    assert_true(n > 0);
    return n;
}

/* Each has bits of its own: all are tried. */
static int n_native(void)
{
    int n = 0;
    for (int i = 0; kern_row(i); i++)
        n += strcmp(kern_row(i)->class_name, "native") == 0 && kern_row(i)->isa != CPU_C &&
             cpu_has(kern_row(i)->isa);
    return n;
}

/* Operations for which there are several rows beside plain C, and how many have any. */
static int n_contested(int *n_any)
{
    int n = 0;
    *n_any = 0;
    for (int i = 0; i < n_operation(); i++) {
        const struct kern_row *wide = widest_row(kern_row(i), CPU_N_ISA);
        *n_any += wide->isa != CPU_C;
        n += wide != narrowest_row(kern_row(i));
    }
    return n;
}

static void all_are_widest(const struct kern_verdicts *v, enum kern_load load, enum cpu_isa except)
{
    for (int i = 0; i < n_operation(); i++)
        assert_ptr_equal(kern_choose_by(v, kern_row(i)->op, kern_row(i)->format, load),
                         widest_row(kern_row(i), except));
}

static void judged(struct kern_verdicts *v, enum cpu_isa broken_isa, int want_checks, int want_times)
{
    broken = broken_isa;
    n_check = n_time = 0;
    assert_int_equal(kern_judge(v, &fake), want_checks + want_times > 0);
    assert_int_equal(n_check, want_checks);
    assert_int_equal(n_time, want_times);
}

static void chosen_by_verdict(void **state)
{
    enum cpu_isa top = top_isa();
    int n_any, n_timed = n_contested(&n_any), n_second = 0;
    struct kern_verdicts v = {0};
    prices(KERN_ONE, true);
    prices(KERN_MANY, true);
    for (int i = 0; i < n_operation(); i++) { /* untried rows never answer */
        v.cost_ps[i][KERN_MANY] = 1;
        assert_int_equal(kern_choose_by(&v, kern_row(i)->op, kern_row(i)->format, KERN_MANY)->isa, CPU_C);
    }
    v = (struct kern_verdicts){0};
    judged(&v, CPU_N_ISA, n_any + n_native(), n_timed); /* of each operation one: the cheapest */
    all_are_widest(&v, KERN_MANY, CPU_N_ISA);
    judged(&v, CPU_N_ISA, 0, 0); /* a verdict stands */
    if (top == CPU_C)
        return;
    v = (struct kern_verdicts){0};
    for (int i = 0; i < n_operation(); i++)
        n_second +=
            widest_row(kern_row(i), CPU_N_ISA)->isa == top && widest_row(kern_row(i), top)->isa != CPU_C;
    judged(&v, top, n_any + n_second + n_native(), n_timed);
    all_are_widest(&v, KERN_MANY, top);
    judged(&v, CPU_N_ISA, 0, 0);
    for (int i = 0; kern_row(i); i++)
        v.of[i] = KERN_FAILED;
    for (int i = 0; i < n_operation(); i++)
        assert_ptr_equal(kern_choose_by(&v, kern_row(i)->op, kern_row(i)->format, KERN_ONE), kern_row(i));
}

/* Each load has the row that costs it least; what is alike goes to the wider. */
static void chosen_by_cost(void **state)
{
    int n_any, n_timed = n_contested(&n_any);
    struct kern_verdicts v = {0};
    prices(KERN_ONE, false);
    prices(KERN_MANY, true);
    judged(&v, CPU_N_ISA, n_any + n_timed + n_native(), n_timed);
    all_are_widest(&v, KERN_MANY, CPU_N_ISA);
    for (int i = 0; i < n_operation(); i++)
        assert_ptr_equal(kern_choose_by(&v, kern_row(i)->op, kern_row(i)->format, KERN_ONE),
                         narrowest_row(kern_row(i)));
    judged(&v, CPU_N_ISA, 0, 0);
    v = (struct kern_verdicts){0};
    for (int isa = 0; isa < CPU_N_ISA; isa++)
        price[KERN_ONE][isa] = price[KERN_MANY][isa] = 16000u + (uint32_t)isa;
    judged(&v, CPU_N_ISA, n_any + n_native(), n_timed);
    all_are_widest(&v, KERN_ONE, CPU_N_ISA);
    all_are_widest(&v, KERN_MANY, CPU_N_ISA);
}

/* A row that the CPU refuses cannot be timed beside the others: then its check fails and the next wider answers. */
static void chosen_without_costs(void **state)
{
    enum cpu_isa top = top_isa();
    struct kern_verdicts v = {0};
    can_time = false;
    prices(KERN_ONE, false);
    prices(KERN_MANY, false);
    broken = top;
    kern_judge(&v, &fake);
    can_time = true;
    all_are_widest(&v, KERN_ONE, top);
    all_are_widest(&v, KERN_MANY, top);
}

/* Real costs; what has no tokens has one. */
static void costs_are_measured(void **state)
{
    for (int i = 0; kern_row(i); i++) {
        const struct kern_row *r = kern_row(i);
        uint32_t cost_ps[1][KERN_N_LOAD] = {{0}};
        if (!cpu_has(r->isa))
            continue;
        assert_true(kern_cost_measure(&r, 1, cost_ps));
        assert_true(cost_ps[0][KERN_ONE] > 0 && cost_ps[0][KERN_MANY] > 0);
        if (r->op != KERN_TILE_DOT && r->op != KERN_TILE_F32 && r->op != KERN_TILE_SPAN)
            assert_int_equal(cost_ps[0][KERN_ONE], cost_ps[0][KERN_MANY]);
    }
}

/* ---- the file ---- */

static size_t slurp(const char *path, char *text, size_t n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t got = fread(text, 1, n, f);
    fclose(f);
    return got;
}

static void spill(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static void mixed(struct kern_verdicts *v)
{
    for (int i = 0; i < KERN_N_ROW; i++) {
        v->of[i] = (uint8_t)(i % 3);
        v->cost_ps[i][KERN_ONE] = (uint32_t)i * 77777777u;
        v->cost_ps[i][KERN_MANY] = (uint32_t)i + 1;
    }
}

static void same_verdicts(const struct kern_verdicts *a, const struct kern_verdicts *b)
{
    assert_memory_equal(a->of, b->of, sizeof a->of);
    assert_memory_equal(a->cost_ps, b->cost_ps, sizeof a->cost_ps);
}

static void written_and_read(void **state)
{
    struct kern_verdicts v, back = {0};
    char key[512], other[520];
    mixed(&v);
    kern_verdicts_key(key, sizeof key);
    assert_non_null(strstr(key, "\nbuild "));
    assert_true(kern_verdicts_write(tmp_path("v.txt"), key, &v));
    assert_true(kern_verdicts_read(tmp_path("v.txt"), key, &back));
    same_verdicts(&v, &back);
    /* another microcode or build */
    for (size_t i = 0; key[i]; i++) {
        memcpy(other, key, sizeof key);
        other[i] = key[i] == '7' ? '8' : '7';
        assert_false(kern_verdicts_read(tmp_path("v.txt"), other, &back));
    }
    assert_false(kern_verdicts_read(tmp_path("none.txt"), key, &back));
    same_verdicts(&v, &back);
}

static void no_damage_is_believed(void **state)
{
    static char text[65536], bad[65536];
    struct kern_verdicts v, back;
    char key[512];
    mixed(&v);
    kern_verdicts_key(key, sizeof key);
    assert_true(kern_verdicts_write(tmp_path("v.txt"), key, &v));
    size_t n = slurp(tmp_path("v.txt"), text, sizeof text);
    assert_true(n > strlen(key) && n < sizeof text - 1);
    for (size_t i = 0; i < n; i++) { /* cut, and a bit turned over */
        spill(tmp_path("bad.txt"), text, i);
        assert_false(kern_verdicts_read(tmp_path("bad.txt"), key, &back));
        memcpy(bad, text, n);
        bad[i] ^= 1;
        spill(tmp_path("bad.txt"), bad, n);
        assert_false(kern_verdicts_read(tmp_path("bad.txt"), key, &back));
    }
    memcpy(bad, text, n);
    bad[n] = '\n';
    spill(tmp_path("bad.txt"), bad, n + 1);
    assert_false(kern_verdicts_read(tmp_path("bad.txt"), key, &back));
    memset(bad, 'x', sizeof bad);
    spill(tmp_path("bad.txt"), bad, sizeof bad);
    assert_false(kern_verdicts_read(tmp_path("bad.txt"), key, &back));
}

static void settle(const char *folder, int want_checks)
{
    struct kern_verdicts v;
    n_check = 0;
    kern_verdicts_settle(&v, folder, &fake);
    assert_int_equal(n_check, want_checks);
    all_are_widest(&v, KERN_MANY, CPU_N_ISA);
}

/* The one file in the folder, or "". */
static void file_in(const char *folder, char *path, size_t n)
{
    char cpu[128];
    cpu_identity(cpu, sizeof cpu);
    assert_int_equal(strspn(cpu, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"),
                     strlen(cpu));
    assert_true(strlen(cpu) > 0);
    snprintf(path, n, "%s/%s.txt", folder, cpu);
}

static void remembered(void **state)
{
    int all;
    n_contested(&all);
    all += n_native();
    prices(KERN_ONE, true);
    prices(KERN_MANY, true);
    char folder[400], path[600];
    struct stat st;
    snprintf(folder, sizeof folder, "%s", tmp_path("kept"));
    assert_int_equal(mkdir(folder, 0755), 0);
    file_in(folder, path, sizeof path);
    broken = CPU_N_ISA;
    settle(folder, all); /* fresh */
    assert_int_equal(stat(path, &st) == 0, all > 0);
    settle(folder, 0); /* reused */
    spill(path, "lathe kernels 2\ncpu of another\n", 31);
    settle(folder, all); /* another key: checked and written again */
    settle(folder, 0);
    spill(path, "", 0);
    settle(folder, all);
    settle(folder, 0);
    settle(NULL, all); /* no folder */
    unlink(path);
    snprintf(folder, sizeof folder, "%s", tmp_path("not-there"));
    settle(folder, all); /* cannot be written: checked each time */
    settle(folder, all);
    assert_int_equal(stat(folder, &st), -1);
}

/* What failed stays failed, is named once, is listed, and the next narrower row answers. Comes last: a process
 * chooses once. */
static void a_failed_row_does_not_answer(void **state)
{
    enum cpu_isa top = top_isa();
    const struct kern_row *bad = kern_find(KERN_ROPE, FORMAT_F32, top);
    char folder[400], path[600], key[512], words[400] = "", want[400];
    struct kern_verdicts v = {0};
    snprintf(folder, sizeof folder, "%s", tmp_path("cache"));
    mkdir(folder, 0755);
    snprintf(folder, sizeof folder, "%s", tmp_path("cache/kernels"));
    mkdir(folder, 0755);
    file_in(folder, path, sizeof path);
    kern_verdicts_key(key, sizeof key);
    if (top != CPU_C)
        v.of[bad - kern_row(0)] = KERN_FAILED;
    assert_true(kern_verdicts_write(path, key, &v));
    int keep = dup(2), out = open(tmp_path("stderr"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(out, 2);
    kern_begin(tmp_path("cache"), true);
    kern_begin(tmp_path("elsewhere"), true); /* does not count */
    dup2(keep, 2);
    close(keep);
    close(out);
    slurp(tmp_path("stderr"), words, sizeof words - 1);
    snprintf(want, sizeof want, "lathe: kernel %s failed its check on this CPU and is not used\n", bad->name);
    assert_string_equal(words, top == CPU_C ? "" : want);
    const struct kern_row *rope = kern_choose(KERN_ROPE, FORMAT_F32, KERN_MANY);
    assert_true(top == CPU_C || rope != bad);
    assert_ptr_equal((void (*)(void))kern_set()->rope, rope->fn);
    assert_true(kern_choose(KERN_RMSNORM, FORMAT_F32, KERN_MANY)->isa != CPU_C || top == CPU_C);
    struct lathe_kernel_info k;
    assert_true(lathe_kernel((int)(bad - kern_row(0)), &k));
    assert_int_equal(k.chosen, top == CPU_C);
    assert_string_equal(k.why, top == CPU_C ? "the only row at hand" : "failed its check on this CPU");
    assert_true(lathe_kernel((int)(rope - kern_row(0)), &k));
    assert_true(k.chosen);
    struct kern_verdicts kept;
    assert_true(kern_verdicts_read(path, key, &kept));
    assert_int_equal(kept.of[bad - kern_row(0)], top == CPU_C ? KERN_UNTRIED : KERN_FAILED);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_passes),     cmocka_unit_test(passes_whatever_the_caller_rounds_like),
        cmocka_unit_test(faults_are_caught),    cmocka_unit_test(chosen_by_verdict),
        cmocka_unit_test(chosen_by_cost),       cmocka_unit_test(chosen_without_costs),
        cmocka_unit_test(a_fault_is_a_failure), cmocka_unit_test(costs_are_measured),
        cmocka_unit_test(written_and_read),     cmocka_unit_test(no_damage_is_believed),
        cmocka_unit_test(remembered),           cmocka_unit_test(a_failed_row_does_not_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
