/* One kernel call as data: its shape, its inputs, its output; and the shapes that each operation is checked
 * with. */
#ifndef LATHE_TESTS_KERN_KCHECK_OPS_H
#define LATHE_TESTS_KERN_KCHECK_OPS_H
#include "kern/kcheck_data.h"

struct shape {
    enum kind kind;
    int n;       /* blocks, columns, elements */
    int n_tok;   /* tokens, queries */
    int extra;   /* by operation: first column, add, rows, in place */
    int stride;  /* output stride or input stride, by operation */
    int n_group; /* of 16 lanes, f32 tiles */
};

enum { N_IN = 3 };

struct call {
    const struct kern_row *row;
    struct shape s;
    struct guarded in[N_IN];
    int n_key[16];
    float number[3];
    size_t out_bytes;
    bool out_is_half;      /* else words compared as floats; padding compares as bits either way */
    bool in_place;         /* the output starts as a copy of in[0] */
    double n_ops, n_bytes; /* for the benchmark: multiply-adds x 2, or bytes touched */
};

static inline const float *in_f(const struct call *c, int i)
{
    return (const float *)c->in[i].p;
}

static inline void prepare_tile_dot(struct call *c)
{
    struct shape s = c->s;
    int64_t group_stride = s.n + s.extra;
    c->in[0] = guarded_panel(c->row->format, s.kind, 16 - s.n_tok % 3, s.n * ACT_BLOCK);
    c->in[1] = guarded_act(s.kind == KIND_RANDOM ? KIND_RANDOM : (enum kind)(rng() % N_KIND), s.n_tok, s.n,
                           group_stride);
    c->out_bytes = (size_t)((s.n_tok - 1) * s.stride + LANES) * 4;
    c->n_ops = 2.0 * s.n * ACT_BLOCK * LANES * s.n_tok;
}

/* Groups beside each other in the columns (odd n) or one after another. */
static inline int tile_w_stride(struct shape s)
{
    return s.n % 2 ? LANES * s.n_group : LANES;
}

static inline int tile_w_group(struct shape s)
{
    return s.n % 2 ? LANES : LANES * s.n;
}

static inline void prepare_tile_f32(struct call *c)
{
    struct shape s = c->s;
    int n_w = s.n * s.n_group * LANES;
    c->in[0] = guarded_floats(s.kind, (size_t)n_w);
    if (c->row->format == FORMAT_F16) {
        guarded_free(&c->in[0]);
        c->in[0] = guarded_new((size_t)n_w * 2);
        for (int i = 0; i < n_w; i++)
            ((uint16_t *)c->in[0].p)[i] = kind_half(s.kind, i);
    }
    c->in[1] = guarded_floats(s.kind, (size_t)((s.n_tok - 1) * (s.n + 3) + s.n));
    c->out_bytes = (size_t)((s.n_tok - 1) * s.stride + s.n_group * LANES) * 4;
    c->n_ops = 2.0 * s.n * LANES * s.n_group * s.n_tok;
}

static inline void prepare_unpack(struct call *c)
{
    c->in[0] = guarded_panel(c->row->format, c->s.kind, 16 - c->s.n_tok % 3, c->s.extra + c->s.n);
    c->out_bytes = (size_t)c->s.n * LANES * 4;
    c->n_bytes = (double)c->out_bytes + (double)c->s.n * LANES * 4 / 8;
}

static inline void prepare_quantize(struct call *c)
{
    int x_stride = c->s.n + c->s.stride;
    c->in[0] = guarded_floats(c->s.kind, (size_t)((c->s.n_tok - 1) * x_stride + c->s.n));
    c->out_bytes = (size_t)(c->s.n / ACT_BLOCK) * sizeof(struct act_block);
    c->n_bytes = 4.0 * c->s.n * c->s.n_tok + (double)c->out_bytes;
}

/* Operations on vectors: n floats in, n out. */
static inline void prepare_vector(struct call *c)
{
    size_t n = (size_t)c->s.n;
    bool pairs = c->row->op == KERN_ROPE;
    c->in[0] = guarded_floats(c->s.kind, pairs ? 2 * n : n);
    c->in[1] = guarded_floats(KIND_RANDOM, pairs ? 2 * n : n);
    c->out_is_half = c->row->op == KERN_TO_F16;
    c->in_place = c->s.extra && (pairs || c->row->op == KERN_RMSNORM || c->row->op == KERN_SILU_MUL);
    c->out_bytes = c->out_is_half ? 2 * n : c->in[0].n_bytes;
    c->number[0] = c->s.kind == KIND_ZERO ? 0.0f : 1e-5f;
    if (c->row->op == KERN_SUM_EXP || c->row->op == KERN_ARGMAX)
        c->out_bytes = 4;
    if (c->row->op == KERN_SUM_EXP || pairs)
        c->number[0] = kind_float(c->s.kind, 0);
    c->n_bytes = (double)c->in[0].n_bytes + (double)c->out_bytes;
}

static inline void prepare_span_softmax(struct call *c)
{
    size_t n = (size_t)c->s.n_tok * 64;
    c->in[0] = guarded_floats(c->s.kind, n);
    for (int q = 0; q < c->s.n_tok; q++)
        c->n_key[q] = (c->s.n + q * 13) % 65;
    c->in_place = true;
    c->out_bytes = (n + 2 * (size_t)c->s.n_tok) * 4;
    c->n_bytes = 8.0 * (double)n;
}

/* in[0]: running max, sum, out of all queries; in[1]: the span's. */
static inline void prepare_span_merge(struct call *c)
{
    int n_query = c->s.n_tok, n = n_query * (c->s.n + 2);
    c->in[0] = guarded_floats(c->s.kind, (size_t)n);
    c->in[1] = guarded_floats(c->s.kind, (size_t)n);
    float *run = (float *)c->in[0].p, *span = (float *)c->in[1].p;
    for (int q = 0; q < n_query; q++) {
        span[q] = rng() % 4 ? run[q] + random_float() : span[q];
        if ((c->s.extra + q) & 1) {
            run[q] = -INFINITY;
            run[n_query + q] = run[2 * n_query + q * c->s.n] = NAN; /* what is not read must not matter */
        }
        if ((c->s.extra + q) & 2)
            span[q] = -INFINITY;
    }
    c->in_place = true;
    c->out_bytes = (size_t)n * 4;
    c->n_bytes = 12.0 * (double)n;
}

static inline void prepare(struct call *c)
{
    switch (c->row->op) {
    case KERN_TILE_DOT:
        prepare_tile_dot(c);
        break;
    case KERN_TILE_F32:
        prepare_tile_f32(c);
        break;
    case KERN_UNPACK:
        prepare_unpack(c);
        break;
    case KERN_QUANTIZE:
        prepare_quantize(c);
        break;
    case KERN_SPAN_SOFTMAX:
        prepare_span_softmax(c);
        break;
    case KERN_SPAN_MERGE:
        prepare_span_merge(c);
        break;
    default:
        prepare_vector(c);
    }
}

static inline void call_free(struct call *c)
{
    for (int i = 0; i < N_IN; i++)
        guarded_free(&c->in[i]);
}

/* Calls `row` on the inputs of `c`. */
static inline void call_row(const struct call *c, const struct kern_row *row, uint8_t *out)
{
    struct shape s = c->s;
    float *y = (float *)out;
    switch (row->op) {
    case KERN_TILE_DOT:
        ((tile_dot_fn *)row->fn)(c->in[0].p, s.n, (const struct act_block *)c->in[1].p, s.n + s.extra,
                                 s.n_tok, s.extra != 0, y, s.stride);
        break;
    case KERN_TILE_F32:
        ((tile_f32_fn *)row->fn)(c->in[0].p, tile_w_stride(s), tile_w_group(s), s.n_group, s.n, in_f(c, 1),
                                 s.n + 3, s.n_tok, s.extra != 0, y, s.stride);
        break;
    case KERN_UNPACK:
        ((unpack_fn *)row->fn)(c->in[0].p, s.extra, s.n, y);
        break;
    case KERN_QUANTIZE:
        ((quantize_fn *)row->fn)(in_f(c, 0), s.n + s.stride, s.n_tok, s.n, (struct act_block *)out);
        break;
    case KERN_RMSNORM:
        ((rmsnorm_fn *)row->fn)(c->in_place ? y : in_f(c, 0), in_f(c, 1), s.n, c->number[0], y);
        break;
    case KERN_ROPE:
        ((rope_fn *)row->fn)(c->in_place ? y : in_f(c, 0), in_f(c, 1), s.n, c->number[0], y);
        break;
    case KERN_SILU_MUL:
        ((silu_mul_fn *)row->fn)(c->in_place ? y : in_f(c, 0), in_f(c, 1), y, s.n);
        break;
    case KERN_SPAN_SOFTMAX:
        ((span_softmax_fn *)row->fn)(y, s.n_tok, c->n_key, y + s.n_tok * 64, y + s.n_tok * 65);
        break;
    case KERN_SPAN_MERGE:
        ((span_merge_fn *)row->fn)(y, y + s.n_tok, y + 2 * s.n_tok, in_f(c, 1), in_f(c, 1) + s.n_tok,
                                   in_f(c, 1) + 2 * s.n_tok, s.n_tok, s.n);
        break;
    case KERN_TO_F16:
        ((to_f16_fn *)row->fn)(in_f(c, 0), (uint16_t *)out, s.n);
        break;
    case KERN_ARGMAX: {
        int32_t at = ((argmax_fn *)row->fn)(in_f(c, 0), s.n);
        memcpy(out, &at, 4);
        break;
    }
    case KERN_SUM_EXP: {
        float sum = ((sum_exp_fn *)row->fn)(in_f(c, 0), s.n, c->number[0]);
        memcpy(out, &sum, 4);
        break;
    }
    default:
        abort();
    }
}

/* The output buffer before a call: in-place operations find their input there. */
static inline struct ringed call_output(const struct call *c)
{
    struct ringed r = ringed_new(c->out_bytes);
    if (c->in_place)
        memcpy(r.p, c->in[0].p, c->in[0].n_bytes);
    return r;
}

/* Case `i` of an operation; false past the last. Every shape is run with every kind of data. */
static inline bool shape_at(const struct kern_row *row, int i, struct shape *s)
{
    static const int lengths[] = {1,  2,  3,  5,  7,  8,  9,  12, 15, 16, 17, 23, 24,  25,  31,  32,
                                  33, 40, 47, 48, 49, 63, 64, 65, 80, 95, 96, 97, 127, 129, 576, 577};
    static const int blocks[] = {1, 2, 3, 4, 5, 18};
    static const int columns[] = {1, 2, 3, 8, 15, 16, 17, 64, 65};
    enum { N_LENGTH = sizeof lengths / sizeof *lengths };
    *s = (struct shape){.kind = (enum kind)(i % N_KIND)};
    i /= N_KIND;
    switch (row->op) {
    case KERN_TILE_DOT: /* the panel's columns end half way through a pair for odd counts */
        *s = (struct shape){s->kind, blocks[i / 12 % 6], i % 12 + 1, i % 2, LANES + 3 * (i / 3 % 2), 0};
        return i < 12 * 6;
    case KERN_TILE_F32:
        s->n_group = i / 216 + 1;
        *s = (struct shape){
            s->kind,   columns[i / 24 % 9], i % 12 + 1, i / 12 % 2, LANES * s->n_group + 5 * (i / 3 % 2),
            s->n_group};
        return i < 12 * 2 * 9 * 6;
    case KERN_UNPACK: { /* n columns from column `extra` on */
        int step = format_by_id((uint32_t)row->format)->block_n;
        *s = (struct shape){s->kind, (i % 6 + 1) * step, i, i / 6 % 4 * step, 0, 0};
        return i < 24;
    }
    case KERN_QUANTIZE:
        *s = (struct shape){s->kind, (i / 4 % 5 + 1) * ACT_BLOCK, i % 4 + 1, 0, i / 20 * 5, 0};
        return i < 40;
    case KERN_SPAN_SOFTMAX:
        *s = (struct shape){s->kind, i % 65, i / 65 * 4 + 1, 0, 0, 0};
        return i < 65 * 3;
    case KERN_SPAN_MERGE:
        *s = (struct shape){s->kind, lengths[i / 4 % N_LENGTH], i / 4 % 12 + 1, i % 4, 0, 0};
        return i < 4 * N_LENGTH;
    default:
        *s = (struct shape){s->kind, lengths[i / 2 % N_LENGTH], 0, i % 2, 0, 0};
        return i < 2 * N_LENGTH;
    }
}
#endif
