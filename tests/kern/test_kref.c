/* Plain C, the specification of all kernel rows, against formulas in double precision with derived bounds;
 * exp and f16 over their whole range; panels there and back. (That the other rows equal plain C is
 * test_kcheck.) */
#include "unit.h"
#include "kern/kcheck_data.h"
#include "kern/span.h"
#include "quant/parts.h"

#define EPS 0x1p-24 /* half an ulp of f32, relative */

/* Without the far-off magnitudes: halves stay finite, e^x in its range. */
static float tame_float(void)
{
    float f;
    do
        f = random_float();
    while (fabsf(f) > 8);
    return f;
}

static void near(double got, double want, double bound, const char *what, int at)
{
    if (!(fabs(got - want) <= bound))
        fail_msg("%s, element %d: %.9g, in double %.9g, bound %.3g", what, at, got, want, bound);
}

/* A random file-form matrix of 16 rows, decoded by the format's own row and packed as a panel. */
struct weights {
    struct guarded panel;
    float *rows;   /* [16][n_col] */
    double *meant; /* by tiles: NF4's integers are near its levels */
    double *size;  /* of each weight, its scale's product and its minimum, which may cancel */
};

/* Block b of a file with finite scales and values of sane size. */
static void tame_block(const struct format *f, uint8_t *b)
{
    float v = tame_float() * 0.1f;
    uint16_t h = f32_to_f16(v);
    uint32_t u = scalar_bits(v) >> 16;
    if (f->take)
        kern_fill_block((enum format_id)f->id, KIND_RANDOM, &rng_state, b); /* halves up to 2 */
    else if (f->id == FORMAT_F32)
        memcpy(b, &v, 4);
    else
        memcpy(b, f->id == FORMAT_BF16 ? (const void *)&u : &h, 2);
    if (f->id == FORMAT_MXFP4)
        b[0] = (uint8_t)(110 + rng() % 20);
    if (f->id == FORMAT_IQ1_M)
        b[55] &= 0xbf; /* |d| < 2 */
}

static void sizes(const struct format *f, const uint8_t *row, int n_col, double *meant, double *size)
{
    struct parts p;
    struct columns c;
    for (int k = 0; f->take && k < n_col; k++) {
        if (k % f->block_n == 0)
            f->take(row + (size_t)(k / f->block_n * f->block_bytes), &p);
        if (k % 32 == 0)
            f->columns(&p, k % f->block_n / 32, &c);
        meant[k] = (double)c.w[k % 32 / 16] * c.q[k % 32] + (double)c.m[k % 32 / 16];
        size[k] = fabs((double)c.w[k % 32 / 16] * c.q[k % 32]) + fabs((double)c.m[k % 32 / 16]);
    }
}

static struct weights weights(enum format_id format, int n_row, int n_col)
{
    const struct format *f = format_by_id((uint32_t)format);
    size_t row_bytes = (size_t)(n_col / f->block_n * f->block_bytes);
    uint8_t *file = malloc(16 * row_bytes);
    struct weights w = {.rows = calloc(16 * (size_t)n_col, sizeof *w.rows),
                        .meant = calloc(16 * (size_t)n_col, sizeof *w.meant),
                        .size = calloc(16 * (size_t)n_col, sizeof *w.size),
                        .panel = guarded_new(panel_bytes(format, n_col))};
    for (size_t at = 0; at < 16 * row_bytes; at += (size_t)f->block_bytes)
        tame_block(f, file + at);
    for (int r = 0; r < n_row; r++) {
        sizes(f, file + (size_t)r * row_bytes, n_col, w.meant + (size_t)r * (size_t)n_col,
              w.size + (size_t)r * (size_t)n_col);
        f->decode(file + (size_t)r * row_bytes, w.rows + (size_t)r * (size_t)n_col, n_col);
    }
    panel_pack(format, file, row_bytes, n_row, n_col, w.panel.p);
    free(file);
    return w;
}

static void weights_free(struct weights *w)
{
    guarded_free(&w->panel);
    free(w->rows);
    free(w->meant);
    free(w->size);
}

static const enum format_id formats[] = {
    FORMAT_F32,   FORMAT_F16,     FORMAT_BF16,    FORMAT_Q4_0,     FORMAT_Q4_1,    FORMAT_Q8_0,
    FORMAT_Q5_0,  FORMAT_Q5_1,    FORMAT_Q2_K,    FORMAT_Q3_K,     FORMAT_Q4_K,    FORMAT_Q5_K,
    FORMAT_Q6_K,  FORMAT_IQ4_NL,  FORMAT_IQ4_XS,  FORMAT_MXFP4,    FORMAT_TQ1_0,   FORMAT_TQ2_0,
    FORMAT_IQ1_S, FORMAT_IQ1_M,   FORMAT_IQ2_XXS, FORMAT_IQ2_XS,   FORMAT_IQ2_S,   FORMAT_IQ3_XXS,
    FORMAT_IQ3_S, FORMAT_INT4_32, FORMAT_INT4_64, FORMAT_INT4_128, FORMAT_INT8_32, FORMAT_INT8_128,
    FORMAT_NF4};
enum { N_FORMAT = sizeof formats / sizeof *formats };

/* The panel as f32: what the tile reads in place, or what the row makes of it. */
static void read_panel(enum format_id format, const uint8_t *panel, int k0, int n_k, float *out)
{
    if (format == FORMAT_F32)
        memcpy(out, panel + (size_t)k0 * LANES * sizeof *out, (size_t)n_k * LANES * sizeof *out);
    else
        ((unpack_fn *)kern_find(KERN_UNPACK, format, CPU_C)->fn)(panel, k0, n_k, out);
}

static void panels_there_and_back(void **state)
{
    for (int i = 0; i < N_FORMAT; i++) {
        int block = format_by_id((uint32_t)formats[i])->block_n;
        for (int n_row = 1; n_row <= 16; n_row++)
            for (int n_block = 1; n_block < 8; n_block++) {
                int n_col = n_block * block;
                struct weights w = weights(formats[i], n_row, n_col);
                float *row = malloc((size_t)n_col * sizeof *row),
                      *lanes = malloc((size_t)n_col * LANES * sizeof *lanes);
                read_panel(formats[i], w.panel.p, 0, n_col, lanes);
                for (int r = 0; r < 16; r++) {
                    panel_row(formats[i], w.panel.p, r, n_col, row);
                    for (int k = 0; k < n_col; k++) {
                        float want = w.rows[(size_t)r * (size_t)n_col + (size_t)k]; /* 0 past n_row */
                        assert_true(row[k] == want && lanes[k * LANES + r] == want);
                    }
                }
                if (n_block > 1) { /* from a column in the middle */
                    float *part = malloc((size_t)(n_col - block) * LANES * sizeof *part);
                    read_panel(formats[i], w.panel.p, block, n_col - block, part);
                    assert_memory_equal(part, lanes + block * LANES,
                                        (size_t)(n_col - block) * LANES * sizeof *part);
                    free(part);
                }
                free(row);
                free(lanes);
                weights_free(&w);
            }
    }
    assert_int_equal(panel_bytes(FORMAT_Q8_K, 256), 0);
}

/* q = round(x / d), d = largest / 127; the sums follow. The product x * (127 / amax) is off by 3 roundings of
 * at most 127: it may fall on the other side of a half. */
static void quantize_is_rounding(void **state)
{
    enum { N_COL = 96, STRIDE = 100 };
    for (int round = 0; round < 300; round++) {
        float x[4 * STRIDE];
        struct act_block out[N_COL / 32];
        int n_tok = round % 4 + 1;
        for (int i = 0; i < 4 * STRIDE; i++)
            x[i] = tame_float();
        quantize_c(x, STRIDE, n_tok, N_COL, out);
        for (int b = 0; b < N_COL / 32; b++)
            for (int t = 0; t < 4; t++) {
                double amax = 0;
                int sum = 0;
                for (int i = 0; i < 32; i++)
                    amax = fmax(amax, t < n_tok ? fabs((double)x[t * STRIDE + b * 32 + i]) : 0);
                for (int i = 0; i < 32; i++) {
                    double exact =
                        amax > 0 && t < n_tok ? (double)x[t * STRIDE + b * 32 + i] / amax * 127 : 0;
                    int q = out[b].q[i / 4][t][i % 4];
                    near(q, exact, 0.5 + 127 * 3 * EPS, "quantize", i);
                    assert_in_range(q + 127, 0, 254); /* the AVX2 tile depends on it */
                    sum += q;
                }
                near((double)out[b].d[t], amax / 127, amax / 127 * EPS * 2, "scale", t);
                near((double)out[b].s[t], (double)out[b].d[t] * sum,
                     fabs((double)out[b].d[t] * sum) * EPS * 2, "sum", t);
                assert_int_equal(out[b].n8sum[t], -8 * sum);
                assert_int_equal(out[b].half[t][0] + out[b].half[t][1], sum);
                for (int i = 0; i < 16; i++)
                    out[b].half[t][0] = (int16_t)(out[b].half[t][0] - out[b].q[i / 4][t][i % 4]);
                assert_int_equal(out[b].half[t][0], 0);
            }
    }
    float bad[32] = {1, 2, NAN}, tiny[32] = {1e-40f, -1e-42f};
    struct act_block b;
    quantize_c(bad, 32, 1, 32, &b);
    assert_true(b.d[0] != b.d[0]);
    quantize_c(tiny, 32, 1, 32, &b);
    assert_true(b.d[0] == 0 && b.n8sum[0] == 0);
}

/* Integer dots are exact, so a block loses the rounding of its scale product and of its fused add: eps *
 * (n_block + 2) of the sum of magnitudes. */
static void dots(void **state)
{
    for (int i = 3; i < N_FORMAT; i++)
        for (int round = 1; round < 20; round += 3) {
            enum { N_TOK = 12 };
            int block_n = format_by_id((uint32_t)formats[i])->block_n;
            int n_col = block_n == 32 ? round * 32 : (round / 3 + 1) * block_n, n_block = n_col / 32;
            struct weights w = weights(formats[i], 16, n_col);
            struct guarded x = guarded_act(KIND_RANDOM, N_TOK, n_block, n_block);
            const struct act_block *a = (const struct act_block *)x.p;
            float y[N_TOK * LANES];
            ((tile_dot_fn *)kern_find(KERN_TILE_DOT, formats[i], CPU_C)->fn)(w.panel.p, n_block, a, n_block,
                                                                             N_TOK, false, y, LANES);
            for (int t = 0; t < N_TOK; t++)
                for (int r = 0; r < LANES; r++) {
                    double sum = 0, size = 0;
                    for (int k = 0; k < n_col; k++) {
                        const struct act_block *at = &a[t / 4 * n_block + k / 32];
                        double xv = at->q[k % 32 / 4][t % 4][k % 4] * (double)at->d[t % 4];
                        size_t at_k = (size_t)r * (size_t)n_col + (size_t)k;
                        double wv = formats[i] == FORMAT_NF4 ? w.meant[at_k] : (double)w.rows[at_k];
                        sum += wv * xv;
                        size += w.size[(size_t)r * (size_t)n_col + (size_t)k] * fabs(xv);
                    }
                    near((double)y[t * LANES + r], sum, size * EPS * (2 * n_block + 4), "dot", t * LANES + r);
                }
            guarded_free(&x);
            weights_free(&w);
        }
}

static void f32_tiles(void **state)
{
    enum { N_K = 70, N_TOK = 5, N_GROUP = 3, W_STRIDE = 16 * N_GROUP };
    float w[N_K * W_STRIDE], x[N_TOK * N_K], y[N_TOK * W_STRIDE];
    uint16_t h[N_K * W_STRIDE];
    for (int add = 0; add < 2; add++)
        for (int type = 0; type < 3; type++) { /* f32, f16, bf16 */
            for (int i = 0; i < N_K * W_STRIDE; i++) {
                h[i] = type == 1 ? f32_to_f16(tame_float()) : f32_to_bf16(tame_float());
                w[i] = type == 0 ? tame_float() : type == 1 ? f16_to_f32(h[i]) : bf16_to_f32(h[i]);
            }
            for (int i = 0; i < N_TOK * N_K; i++)
                x[i] = tame_float();
            for (int i = 0; i < N_TOK * W_STRIDE; i++)
                y[i] = 100;
            if (type == 1)
                tile_f16_c(h, W_STRIDE, 16, N_GROUP, N_K, x, N_K, N_TOK, add != 0, y, W_STRIDE);
            else if (type == 2)
                tile_bf16_c(h, W_STRIDE, 16, N_GROUP, N_K, x, N_K, N_TOK, add != 0, y, W_STRIDE);
            else
                tile_f32_c(w, W_STRIDE, 16, N_GROUP, N_K, x, N_K, N_TOK, add != 0, y, W_STRIDE);
            for (int t = 0; t < N_TOK; t++)
                for (int r = 0; r < W_STRIDE; r++) {
                    double sum = add ? 100 : 0, size = sum;
                    for (int k = 0; k < N_K; k++) {
                        double p = (double)w[k * W_STRIDE + r] * (double)x[t * N_K + k];
                        sum += p;
                        size += fabs(p);
                    }
                    near((double)y[t * W_STRIDE + r], sum, size * EPS * (N_K + 1), "f32 tile",
                         t * W_STRIDE + r);
                }
        }
}

static double worst_ulp(float (*fn)(float), double (*want_of)(double), uint32_t from, uint32_t to)
{
    double worst = 0;
    for (uint32_t u = from; u <= to; u += 97) {
        float x = scalar_from_bits(u);
        double want = want_of((double)x);
        int e;
        frexp(want, &e);
        worst = fmax(worst, fabs((double)fn(x) - want) / ldexp(1, e - 24));
    }
    return worst;
}

/* Every 97th float of the ranges that e^x and 2^x take: at most 2.5 ulp off. */
static void exp_everywhere(void **state)
{
    const uint32_t minus = 1u << 31;
    double natural = fmax(worst_ulp(scalar_exp, exp, 0, scalar_bits(EXP_HI)),
                          worst_ulp(scalar_exp, exp, minus, scalar_bits(EXP_LO)));
    double base2 = worst_ulp(scalar_exp2, exp2, minus, scalar_bits(EXP2_LO));
    printf("exp: %.3f ulp, exp2: %.3f\n", natural, base2);
    assert_true(natural <= 2.5 && base2 <= 2.5);
    assert_true(scalar_exp(0) == 1 && scalar_exp(-0.0f) == 1 && scalar_exp2(0) == 1 &&
                scalar_exp2(-0.0f) == 1);
    assert_true(scalar_exp(-INFINITY) == scalar_exp(EXP_LO) && scalar_exp(-INFINITY) < 1e-37f);
    assert_true(scalar_exp2(-INFINITY) == 0x1p-125f);
    assert_true(scalar_exp(INFINITY) == scalar_exp(EXP_HI) && scalar_exp(INFINITY) > 1e38f);
    assert_true(isnan(scalar_exp(NAN)) && isnan(scalar_exp2(NAN)));
    assert_true(isnan(scalar_exp(scalar_from_bits(0x7fc001ff))) &&
                isnan(scalar_exp2(scalar_from_bits(0xffc001ff))));
}

/* Every half comes back; every float between two halves goes to the nearer, ties to the even one; on all rows
 * that this CPU has. */
static void halves(void **state)
{
    enum { N = 4 };
    for (uint32_t i = 0; i < 0x7c00; i++) {
        float lo = f16_to_f32((uint16_t)i), hi = i + 1 < 0x7c00 ? f16_to_f32((uint16_t)(i + 1)) : 65536.0f;
        float x[N] = {lo, (lo + hi) / 2, nextafterf((lo + hi) / 2, 0), nextafterf((lo + hi) / 2, INFINITY)};
        uint16_t want[N] = {(uint16_t)i, (uint16_t)(i + i % 2), (uint16_t)i, (uint16_t)(i + 1)}, got[N];
        for (int isa = 0; isa < CPU_N_ISA; isa++) {
            const struct kern_row *row = kern_find(KERN_TO_F16, FORMAT_F32, (enum cpu_isa)isa);
            if (!row || !cpu_supports((enum cpu_isa)isa))
                continue;
            ((to_f16_fn *)row->fn)(x, got, N);
            for (int k = 0; k < N; k++)
                if (got[k] != want[k])
                    fail_msg("%s: %a becomes %04x, expected %04x", cpu_isa_name((enum cpu_isa)isa),
                             (double)x[k], got[k], want[k]);
        }
    }
}

static void bf16_wants(const float *x, const uint16_t *want, int n)
{
    uint16_t got[8];
    for (int isa = 0; isa < CPU_N_ISA; isa++) {
        const struct kern_row *row = kern_find(KERN_TO_BF16, FORMAT_F32, (enum cpu_isa)isa);
        if (!row || !cpu_supports((enum cpu_isa)isa))
            continue;
        ((to_bf16_fn *)row->fn)(x, got, n);
        for (int k = 0; k < n; k++)
            if (got[k] != want[k])
                fail_msg("%s: %a becomes %04x, expected %04x", cpu_isa_name((enum cpu_isa)isa), (double)x[k],
                         got[k], want[k]);
    }
}

/* The same of bf16, denormals included; past the largest comes infinity, and a NaN stays one. */
static void bf16_halves(void **state)
{
    for (uint32_t i = 0; i < 0x7f80; i++) {
        uint32_t lo = i << 16;
        float x[] = {scalar_from_bits(lo), scalar_from_bits(lo + 0x8000), scalar_from_bits(lo + 0x7fff),
                     scalar_from_bits(lo + 0x8001), -scalar_from_bits(lo + 0x8001)};
        uint16_t want[] = {(uint16_t)i, (uint16_t)(i + i % 2), (uint16_t)i, (uint16_t)(i + 1),
                           (uint16_t)(0x8000 | (i + 1))};
        bf16_wants(x, want, 5);
        assert_true(i == 0 || bf16_to_f32((uint16_t)i) == x[0]);
    }
    float odd[] = {INFINITY, -INFINITY, scalar_from_bits(0x7f800001), scalar_from_bits(0xffffffff)};
    uint16_t want[] = {0x7f80, 0xff80, 0x7fc0, 0xffff};
    bf16_wants(odd, want, 4);
}

static void vectors(void **state)
{
    enum { N = 100 };
    for (int n = 1; n <= N; n++) {
        float x[N], u[N], y[N];
        double squares = 0, sum = 0, max = -INFINITY;
        for (int i = 0; i < n; i++) {
            x[i] = tame_float();
            u[i] = tame_float();
            squares += (double)x[i] * (double)x[i];
            max = fmax(max, (double)x[i]);
        }
        rmsnorm_c(x, u, n, 1e-5f,
                  y); /* the sum: eps per add, halved by the root; root, division, two products: 4 */
        double scale = 1 / sqrt(squares / n + (double)1e-5f);
        for (int i = 0; i < n; i++)
            near((double)y[i], (double)x[i] * scale * (double)u[i],
                 fabs((double)y[i]) * EPS * (n / 16.0 + 12), "rmsnorm", i);
        layernorm_c(x, u, u, n, 1e-5f,
                    y); /* the mean is off by eps of the largest per add, and so is all that follows */
        double mean = 0, spread = 0, largest = 0;
        for (int i = 0; i < n; i++)
            mean += (double)x[i] / n, largest = fmax(largest, fabs((double)x[i]));
        for (int i = 0; i < n; i++)
            spread += ((double)x[i] - mean) * ((double)x[i] - mean) / n;
        scale = 1 / sqrt(spread + (double)1e-5f);
        for (int i = 0; i < n; i++) {
            double want = ((double)x[i] - mean) * scale * (double)u[i] + (double)u[i];
            near((double)y[i], want,
                 (fabs(want) + fabs((double)u[i]) * (1 + 2 * largest * scale)) * EPS * (n / 16.0 + 14),
                 "layernorm", i);
        }
        gelu_c(x, y, n);
        for (int i = 0; i < n; i++) {
            double want = 0.5 * (double)x[i] * (1 + erf((double)x[i] / sqrt(2)));
            near((double)y[i], want, fabs((double)x[i]) * 1.9e-7, "gelu", i);
        }
        silu_mul_c(x, u, y, n); /* exp 2 ulp, add, division, product */
        for (int i = 0; i < n; i++) {
            double want = (double)x[i] / (1 + exp(-(double)x[i])) * (double)u[i];
            near((double)y[i], want, fabs(want) * EPS * 10, "silu_mul", i);
        }
        memcpy(y, x, sizeof y);
        rope_c(y, u, n / 2, 1.0f, y);
        for (int i = 0; i + 1 < n; i += 2) {
            double a = (double)x[i], b = (double)x[i + 1], c = (double)u[i], s = (double)u[i + 1];
            near((double)y[i], a * c - b * s, (fabs(a * c) + fabs(b * s)) * EPS * 2, "rope", i);
            near((double)y[i + 1], a * s + b * c, (fabs(a * s) + fabs(b * c)) * EPS * 2, "rope", i + 1);
        }
        for (int i = 0; i < n; i++)
            sum += exp((double)x[i] - max);
        /* the argument x - max is rounded, by up to eps * |x - max|, which e^x turns into a relative error;
         * far ones weigh nothing */
        near((double)sum_exp_c(x, n, (float)max), sum, sum * EPS * (n / 16.0 + 14), "sum_exp", n);
    }
}

/* Spans one by one and merged against softmax (of base 2) over all keys at once. */
static void attention_of_spans(void **state)
{
    enum { N_SPAN = 5, DIM = 24 };
    for (int round = 0; round < 50; round++) {
        float run_max = -INFINITY, run_sum = 0, run_out[DIM] = {0};
        double score[N_SPAN * 64], value[N_SPAN * 64][DIM], max = -INFINITY, total = 0;
        int n = 0;
        for (int sp = 0; sp < N_SPAN; sp++) {
            float s[64], v[64][DIM], m, sum, out[DIM] = {0};
            int n_key = sp == 2 ? 0 : (int)(rng() % 64) + 1;
            for (int k = 0; k < 64; k++) {
                s[k] = k < n_key ? 4 * tame_float() : NAN; /* what lies behind the last key must not matter */
                for (int d = 0; d < DIM; d++)
                    v[k][d] = tame_float();
            }
            for (int k = 0; k < n_key; k++, n++) {
                score[n] = (double)s[k];
                max = fmax(max, score[n]);
                for (int d = 0; d < DIM; d++)
                    value[n][d] = (double)v[k][d];
            }
            span_softmax_c(s, 1, &n_key, &m, &sum);
            for (int k = n_key; k < 64; k++)
                assert_true(s[k] == 0);
            for (int d = 0; d < DIM; d++)
                for (int k = 0; k < n_key; k++)
                    out[d] = fmaf(s[k], v[k][d], out[d]);
            span_merge_c(&run_max, &run_sum, run_out, &m, &sum, out, 1, DIM);
        }
        for (int k = 0; k < n; k++)
            total += exp2(score[k] - max);
        for (int d = 0; d < DIM; d++) {
            double want = 0, size = 0;
            for (int k = 0; k < n; k++) {
                want += exp2(score[k] - max) * value[k][d] / total;
                size += exp2(score[k] - max) * fabs(value[k][d]) / total;
            }
            near((double)(run_out[d] / run_sum), want, size * EPS * (64 + 8 * N_SPAN + 64), "attention", d);
        }
    }
}

static void argmax_by_definition(void **state)
{
    float x[50];
    for (int round = 0; round < 500; round++) {
        int n = round % 50 + 1, best = 0;
        for (int i = 0; i < n; i++)
            x[i] = (float)(rng() % 9);
        for (int i = 0; i < n; i++)
            best = x[i] > x[best] ? i : best;
        assert_int_equal(argmax_c(x, n), best);
        x[rng() % (uint64_t)n] = NAN;
        assert_int_equal(argmax_c(x, n), -1);
    }
}

/* Tile of one strip, as f32: a row of x picks a row of the strip. */
static void strip_numbers(enum format_id format, const uint8_t *strip, int n_group, int n_row, float *out)
{
    float one[80] = {0};
    for (int k = 0; k < n_row; k++) {
        one[k] = 1;
        (format == FORMAT_Q4_1 ? tile_span_q4_c : tile_span_q8_c)(strip, n_group, n_row, one, n_row, 1,
                                                                  out + k * n_group * LANES, n_group * LANES);
        one[k] = 0;
    }
}

/* Packed and read again, a number is within half a step of its row, and the ends of the row within the rounding of the
 * step, which is an f16: relative 2^-11, of which a code makes at most 2^bits - 1 steps. */
static void strips_there_and_back(void **state)
{
    static const enum format_id of[] = {FORMAT_Q4_1, FORMAT_Q8_1};
    for (int round = 0; round < 400; round++) {
        enum format_id format = of[round % 2];
        int n_group = round / 2 % 4 + 1, n_row = 1 + (int)(rng() % 80), n = n_group * LANES, gap = round % 3;
        double most = (1 << strip_bits(format)) - 1;
        uint16_t *half = malloc((size_t)(n_row * (n + gap)) * 2);
        uint8_t *strip = malloc(strip_bytes(format, n_group, n_row));
        float *back = malloc((size_t)(n_row * n) * 4);
        for (int i = 0; i < n_row * (n + gap); i++)
            half[i] = f32_to_f16(tame_float() + (float)(i / (n + gap)));
        (format == FORMAT_Q4_1 ? pack_span_q4_c : pack_span_q8_c)(half, n + gap, n_group, n_row, strip);
        strip_numbers(format, strip, n_group, n_row, back);
        for (int k = 0; k < n_row; k++) {
            double lo = INFINITY, hi = -INFINITY;
            for (int i = 0; i < n; i++) {
                double x = (double)f16_to_f32(half[k * (n + gap) + i]);
                lo = x < lo ? x : lo;
                hi = x > hi ? x : hi;
            }
            double step = (hi - lo) / most, bound = step / 2 + (hi - lo) * 0x1p-11 + fabs(hi) * 2 * EPS;
            for (int i = 0; i < n; i++)
                near((double)back[k * n + i], (double)f16_to_f32(half[k * (n + gap) + i]), bound * 1.01,
                     "strip", i);
        }
        free(half);
        free(strip);
        free(back);
    }
}

/* A row that is not finite says so, and no other does; a row of equal numbers is exact. */
static void strips_of_odd_rows(void **state)
{
    uint16_t half[4][LANES];
    uint8_t strip[512];
    float back[4 * LANES];
    for (int i = 0; i < LANES; i++) {
        half[0][i] = f32_to_f16(3.25f);
        half[1][i] = i == 7 ? 0x7e00 : f32_to_f16((float)i);
        half[2][i] = i == 0 ? 0xfc00 : f32_to_f16((float)i);
        half[3][i] = f32_to_f16(i % 2 ? 65504.0f : -65504.0f);
    }
    for (int f = 0; f < 2; f++) {
        (f ? pack_span_q8_c : pack_span_q4_c)(half[0], LANES, 1, 4, strip);
        strip_numbers(f ? FORMAT_Q8_1 : FORMAT_Q4_1, strip, 1, 1, back);
        for (int i = 0; i < LANES; i++)
            assert_true(back[i] == 3.25f);
        struct strip_row row[4];
        memcpy(row, strip, sizeof row);
        assert_true(row[1].scale == 0x7e00 && row[2].scale == 0x7e00);
        assert_true(row[0].scale == 0 && row[3].scale != 0x7e00 && row[3].scale < 0x7c00);
    }
}

int main(void)
{
    rng_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(panels_there_and_back),
        cmocka_unit_test(quantize_is_rounding),
        cmocka_unit_test(dots),
        cmocka_unit_test(f32_tiles),
        cmocka_unit_test(exp_everywhere),
        cmocka_unit_test(halves),
        cmocka_unit_test(bf16_halves),
        cmocka_unit_test(vectors),
        cmocka_unit_test(attention_of_spans),
        cmocka_unit_test(strips_there_and_back),
        cmocka_unit_test(strips_of_odd_rows),
        cmocka_unit_test(argmax_by_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
