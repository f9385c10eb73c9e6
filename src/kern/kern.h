/* Compute kernels as rows: operation x weight format x instruction set.
 *
 * The numeric contract ("portable" class; every row of an operation gives the same bits):
 *
 *   panel       16 rows of a matrix, interleaved, one row per lane, columns in ascending order (kern/panel.h)
 *   activations int8, one f32 scale per 32 columns: d = amax/127, q = rne(x * (127/amax)); see struct act_block
 *   dot         per block of 32 an exact int32 dot, then acc = fma(float(dot), w.d * x.d, acc), and for formats
 *               with a minimum acc = fma(w.m, x.s, acc); blocks in ascending order, each output in its own lane,
 *               never split over columns. Formats of 16 columns a scale, lo and hi the exact dots of a block's
 *               halves: with scales that are numbers (Q6_K)
 *                   acc = fma(fma(float(hi), w.hi, float(lo) * w.lo), x.d, acc), w.lo = d * sc.lo
 *               with small integers, the sum of which is exact (Q3_K, Q2_K)
 *                   acc = fma(u, x.d, acc), u = float(lo * sc.lo + hi * sc.hi) * d, and with minima
 *                   u = fma(float(x.lo * mn.lo + x.hi * mn.hi), -dmin, u), x.lo and x.hi sums of q
 *   f32         acc = fma(w, x, acc), columns ascending
 *   reductions  16 virtual lanes (element i goes to lane i % 16, in ascending order), then the tree 8, 4, 2, 1
 *   exp         kern/scalar.h, the same polynomial everywhere; sqrt and division are IEEE
 *
 * The "native" class has the bits of one instruction set's bf16 dot (kern/ref/tile_native_c.c has them in plain C): BF16
 * weights times activations that are rounded to bf16, in matrix products alone. It is used where a model is opened with
 * that precision and never otherwise, for one token with the instructions for twelve; which one depends on the CPU alone
 * (the widest), so that on one CPU an answer does not depend on what runs beside it, and on two it may differ.
 *
 * Plain C (kern/ref) is the specification. Rows of one class differ in nothing but what they cost, and that is measured
 * where they run: a choice by a wrong measurement costs time and no bits. */
#ifndef LATHE_KERN_KERN_H
#define LATHE_KERN_KERN_H
#include <stdint.h>
#include "base/cpu.h"
#include "quant/format.h"

enum {
    LANES = 16,     /* rows of a panel */
    ACT_GROUP = 4,  /* tokens whose activations are interleaved */
    ACT_BLOCK = 32, /* columns that share a scale */
    TILE_TOK = 12   /* most tokens of one tile call */
};

/* 32 columns of 4 tokens: q[j][t] holds columns 4j..4j+3 of token t, the operand that a dot instruction
 * broadcasts. */
struct act_block {
    int8_t q[8][ACT_GROUP][4];
    float d[ACT_GROUP];         /* scale; NaN if the block holds NaN or infinity */
    float s[ACT_GROUP];         /* d * sum(q) */
    int32_t n8sum[ACT_GROUP];   /* -8 * sum(q) */
    int16_t half[ACT_GROUP][2]; /* sum(q) of columns 0..15 and 16..31 */
};
_Static_assert(sizeof(struct act_block) == 192, "act_block layout: three cache lines");

/* y[t * y_stride + r] = (add ? y : 0) + W[16, 32*n_block] . x[t], r < 16, t < n_tok <= 12; y is added last. x:
 * token groups of 4 at group_stride blocks from each other. */
typedef void tile_dot_fn(const uint8_t *panel, int n_block, const struct act_block *x, int64_t group_stride,
                         int n_tok, bool add, float *y, int64_t y_stride);
/* y[t * y_stride + 16 g + r] = (add ? y : 0) + sum_k w[g * w_group + k * w_stride + r] * x[t * x_stride + k]
 * for n_group groups of 16 lanes; strides in elements; w is f32, f16 or bf16 by the row. */
typedef void tile_f32_fn(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k,
                         const float *x, int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride);
/* y[t * y_stride + i] = sum_k w[k][i] * x[t * x_stride + k] of a strip of n_row rows of n_group * 16 lanes (kern/span.h), n_group <= 4,
 * n_tok <= 12. */
typedef void tile_span_fn(const uint8_t *strip, int n_group, int n_row, const float *x, int64_t x_stride,
                          int n_tok, float *y, int64_t y_stride);
/* A strip of rows half[k * stride + i], i < n_group * 16, of f16. */
typedef void pack_span_fn(const uint16_t *half, int64_t stride, int n_group, int n_row, uint8_t *strip);
/* y[t * y_stride + r] = (add ? y : 0) + b[r], r < 16, t < n_tok. */
typedef void bias_fn(const float *b, int n_tok, bool add, float *y, int64_t y_stride);
/* out[k][16] = f32 of the panel's columns k0 .. k0+n_k; k0 and n_k multiples of 32 for quantized formats. */
typedef void unpack_fn(const uint8_t *panel, int k0, int n_k, float *out);
/* Quantizes n_tok (1..4) rows of n_col (% 32 == 0) f32 at x_stride into one token group; absent tokens become
 * zero. */
typedef void quantize_fn(const float *x, int64_t x_stride, int n_tok, int n_col, struct act_block *out);
/* y = x / sqrt(mean(x^2) + eps) * w   (Zhang, Sennrich 2019); y may be x. */
typedef void rmsnorm_fn(const float *x, const float *w, int n, float eps, float *y);
/* y = (x - mean) / sqrt(mean((x - mean)^2) + eps) * w + b   (Ba, Kiros, Hinton 2016); y may be x. */
typedef void layernorm_fn(const float *x, const float *w, const float *b, int n, float eps, float *y);
/* Rotates adjacent pairs x[2i], x[2i+1] by cs[2i] = cos, cs[2i+1] = sin, i < n_pair (Su et al. 2021), times
 * scale; y may be x. */
typedef void rope_fn(const float *x, const float *cs, int n_pair, float scale, float *y);
/* h = g / (1 + exp(-g)) * u; h may be g. */
typedef void silu_mul_fn(const float *g, const float *u, float *h, int n);
/* h = gelu(g) * u, gelu by tanh (Hendrycks, Gimelshein 2016): g / (1 + exp(-g (GELU_1 + GELU_3 g^2))); h may be g. */
typedef void gelu_mul_fn(const float *g, const float *u, float *h, int n);
/* y = x * Phi(x), gelu by the error function: Phi - 1/2 as x P(x^2) / Q(x^2), beyond GELU_LIMIT exactly 1/2; y may be x. */
typedef void gelu_fn(const float *x, float *y, int n);
/* h = g / (1 + exp(-1.702 g)) * (u + 1), g at most 7 and u within -7..7 (OpenAI 2025); h may be g. */
typedef void glu_clamped_fn(const float *g, const float *u, float *h, int n);
/* x = cap * tanh(x / cap), as cap * (1 - 2 / (exp(x * (2 / cap)) + 1)), in place. */
typedef void softcap_fn(float *x, int n, float cap);
/* One attention span for n_query rows of scores s[q * 64 + key]: of row q the first n_key[q] keys count.
 * Scores are in units of log2: turns them into 2^(s - max) (0 past n_key), gives max and sum. n_key[q] == 0 gives max -inf, sum 0. */
typedef void span_softmax_fn(float *s, int n_query, const int *n_key, float *max, float *sum);
/* Merges a span's (max, sum, out[n]) of each of n_query queries into the running ones; out and run_out have
 * rows of n floats. A query whose span max is -inf (no keys) stays as it is; where the running max is -inf (no
 * keys yet) the other running values are not read. (Milakov, Gimelshein 2018; Dao et al. 2022.) n_query <= 12. */
typedef void span_merge_fn(float *run_max, float *run_sum, float *run_out, const float *max, const float *sum,
                           const float *out, int n_query, int n);
/* y[i] = f16(x[i]) to nearest even. */
typedef void to_f16_fn(const float *x, uint16_t *y, int n);
/* y[i] = bf16(x[i]) to nearest even; NaN stays NaN. */
typedef void to_bf16_fn(const float *x, uint16_t *y, int n);
/* Index of the first largest of x[n], n > 0; NaN anywhere gives -1. */
typedef int argmax_fn(const float *x, int n);
/* sum(exp(x[i] - max)) over n, 16 lanes and the fixed tree. */
typedef float sum_exp_fn(const float *x, int n, float max);

enum kern_op {
    KERN_TILE_DOT,
    KERN_TILE_F32,
    KERN_TILE_SPAN,
    KERN_PACK_SPAN,
    KERN_UNPACK,
    KERN_QUANTIZE,
    KERN_BIAS,
    KERN_RMSNORM,
    KERN_LAYERNORM,
    KERN_ROPE,
    KERN_SILU_MUL,
    KERN_GELU_MUL,
    KERN_GELU,
    KERN_GLU_CLAMPED,
    KERN_SOFTCAP,
    KERN_SPAN_SOFTMAX,
    KERN_SPAN_MERGE,
    KERN_TO_F16,
    KERN_TO_BF16,
    KERN_ARGMAX,
    KERN_SUM_EXP,
    KERN_N_OP
};

struct kern_row {
    enum kern_op op;
    const char *op_name, *weight, *activation; /* "-" where there is none */
    enum format_id format;                     /* with a weight */
    enum cpu_isa isa;
    const char *name;
    const char
        *class_name; /* "portable", or "twin": the source of another row, to be checked and never chosen */
    void (*fn)(void);
};

/* What a row of tiles is timed with, and chosen for: one token, as sequences are continued, or a whole tile, as prompts
 * are read. Up to KERN_FEW_TOK tokens the row for one is taken. Other operations have one cost. */
enum kern_load { KERN_ONE, KERN_MANY, KERN_N_LOAD };
enum { KERN_FEW_TOK = 2 };

/* Row i of kernels.inc; NULL past the last. */
const struct kern_row *kern_row(int i);
/* Checks the rows that this CPU has (kern/kern_check.h). With `keep` their verdicts are read from and written to the
 * cache folder `cache_dir` (base/cache_folder.h; NULL: the usual place). Only the first call counts; a choice
 * without one before it is by verdicts that are not kept. */
void kern_begin(const char *cache_dir, bool keep);
/* The chosen row: of the portable class, which has the same bits in every row, the one that was measured to cost least
 * (kern/kern_cost.h) of those that this CPU has and that passed their check. Never NULL for an operation and format
 * that plain C has; NULL otherwise. `format` is ignored by operations without a weight. */
const struct kern_row *kern_choose(enum kern_op op, enum format_id format, enum kern_load load);
/* The row of the native class of the widest instruction set that this CPU has, if it passed its check; else NULL. */
const struct kern_row *kern_choose_native(enum kern_op op, enum format_id format);
/* The row of the portable class. */
const struct kern_row *kern_find(enum kern_op op, enum format_id format, enum cpu_isa isa);
/* <name>_twin: the same source in instructions that more CPUs have; NULL if it has none. */
const struct kern_row *kern_twin(const struct kern_row *row);
/* What the row is checked against: <name>_c in the native class, else plain C's row of the portable class. */
const struct kern_row *kern_plain(const struct kern_row *row);

/* All operations without a weight, chosen once. */
struct kern_set {
    quantize_fn *quantize;
    bias_fn *bias;
    rmsnorm_fn *rmsnorm;
    layernorm_fn *layernorm;
    rope_fn *rope;
    silu_mul_fn *silu_mul;
    gelu_mul_fn *gelu_mul;
    gelu_fn *gelu;
    glu_clamped_fn *glu_clamped;
    softcap_fn *softcap;
    span_softmax_fn *span_softmax;
    span_merge_fn *span_merge;
    to_f16_fn *to_f16;
    to_bf16_fn *to_bf16;
    argmax_fn *argmax;
    sum_exp_fn *sum_exp;
    tile_f32_fn *tile_f32, *tile_f16, *tile_bf16;
};
const struct kern_set *kern_set(void);

/* Prototypes of all rows. */
#define KERN(OP, op, WEIGHT, act, ISA, fn, cls) op##_fn fn;
#include "kern/kernels.inc"
#undef KERN
#endif
