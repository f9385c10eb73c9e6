/* Kernel calls as data: generated inputs, the call of any row, the comparison of outputs. */
#include "kern/kern_case.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/splitmix.h"
#include "kern/panel.h"
#include "kern/scalar.h"
#include "kern/span.h"

/* ---- numbers ---- */

uint64_t kern_random(uint64_t *state)
{
    return splitmix_next(state);
}

float kern_random_float(uint64_t *state)
{
    float f = 0;
    for (int i = 0; i < 2; i++) {
        uint64_t z = kern_random(state);
        f += (float)(int32_t)(uint32_t)z * 0x1p-31f + (float)(int32_t)(uint32_t)(z >> 32) * 0x1p-31f;
    }
    uint64_t z = kern_random(state);
    return z % 32 ? f : ldexpf(f, (int)(z / 32 % 40) - 20);
}

float kern_kind_float(enum kern_kind kind, int i, uint64_t *state)
{
    uint64_t z;
    switch (kind) {
    case KIND_ZERO:
        return i % 3 ? 0.0f : -0.0f;
    case KIND_EXTREME:
        return (i % 2 ? -1.0f : 1.0f) * (kern_random(state) % 2 ? 3.4028234e38f : 1e-38f);
    case KIND_ALTERNATING:
        return i % 2 ? -1.0f : 1.0f;
    case KIND_DENORMAL:
        z = kern_random(state);
        return scalar_from_bits((uint32_t)(z % 0x800000) | (uint32_t)(z >> 32 & 1) << 31);
    case KIND_NAN:
        z = kern_random(state);
        return z % 23 ? kern_random_float(state) : (z >> 32 & 1 ? NAN : -NAN);
    case KIND_INF:
        z = kern_random(state);
        return z % 23 ? kern_random_float(state) : (z >> 32 & 1 ? INFINITY : -INFINITY);
    case KIND_TIES:
        z = kern_random(state);
        if (i % ACT_BLOCK == 0)
            return 127.0f;
        return (z & 1 ? -1.0f : 1.0f) *
               (i % 2 ? (float)(2 * (z >> 1 & 1023) + 1) / 32.0f + 62.0f : (float)(z >> 1 & 63) + 0.5f);
    default:
        return kern_random_float(state);
    }
}

uint16_t kern_kind_half(enum kern_kind kind, int i, uint64_t *state)
{
    uint64_t z = kern_random(state), rest = z >> 16;
    switch (kind) {
    case KIND_ZERO:
        return i % 2 ? 0 : 0x8000;
    case KIND_EXTREME:
        return i % 2 ? 0x7bff : 0xfbff;
    case KIND_ALTERNATING:
        return i % 2 ? 0x3c00 : 0xbc00;
    case KIND_DENORMAL:
        return (uint16_t)(z & 0x83ff);
    case KIND_NAN:
        return (uint16_t)(rest % 7 ? z & 0xbfff : 0x7e01);
    case KIND_INF:
        return (uint16_t)(rest % 7 ? z & 0xbfff : 0x7c00 | (z & 0x8000));
    default:
        return (uint16_t)(z & 0xbfff);
    }
}

/* Integers of blocks: extremes and alternating ones drive the sums to their ends. */
static uint8_t kind_byte(enum kern_kind kind, int i, uint64_t *state)
{
    switch (kind) {
    case KIND_ZERO:
        return 0;
    case KIND_EXTREME:
        return 0xff;
    case KIND_ALTERNATING:
        return i % 2 ? 0xff : 0x80;
    default:
        return (uint8_t)kern_random(state);
    }
}

static void fill_floats(enum kern_kind kind, size_t n_bytes, uint64_t *state, uint8_t *out)
{
    for (size_t i = 0; i < n_bytes / 4; i++) {
        float f = kern_kind_float(kind, (int)i, state);
        memcpy(out + 4 * i, &f, 4);
    }
}

/* Where the f16 numbers of a format's block are; -1: none. */
struct halves {
    enum format_id format;
    int at[2];
};

static const struct halves all_halves[] = {
    {FORMAT_Q4_0, {0, -1}},   {FORMAT_Q4_1, {0, 2}},    {FORMAT_Q8_0, {0, -1}},    {FORMAT_Q5_0, {0, -1}},
    {FORMAT_Q5_1, {0, 2}},    {FORMAT_Q4_K, {0, 2}},    {FORMAT_Q5_K, {0, 2}},     {FORMAT_Q6_K, {208, -1}},
    {FORMAT_Q3_K, {108, -1}}, {FORMAT_Q2_K, {80, 82}},  {FORMAT_IQ4_NL, {0, -1}},  {FORMAT_IQ4_XS, {0, -1}},
    {FORMAT_TQ1_0, {52, -1}}, {FORMAT_TQ2_0, {64, -1}}, {FORMAT_IQ1_S, {0, -1}},   {FORMAT_IQ2_XXS, {0, -1}},
    {FORMAT_IQ2_XS, {0, -1}}, {FORMAT_IQ2_S, {0, -1}},  {FORMAT_IQ3_XXS, {0, -1}}, {FORMAT_IQ3_S, {0, -1}},
};

/* E8M0, in the places of a kind. */
static uint8_t kind_exponent(enum kern_kind kind, uint64_t *state)
{
    uint64_t z = kern_random(state);
    switch (kind) {
    case KIND_ZERO:
        return 0;
    case KIND_EXTREME:
        return 254;
    case KIND_DENORMAL:
        return (uint8_t)(z % 4);
    case KIND_NAN:
    case KIND_INF:
        return (uint8_t)(z % 7 ? z >> 8 : 255);
    default:
        return (uint8_t)(z % 16 ? 110 + (z >> 8) % 32 : z >> 16);
    }
}

void kern_fill_block(enum format_id format, enum kern_kind kind, uint64_t *state, uint8_t *out)
{
    const int n = format_by_id((uint32_t)format)->block_bytes;
    for (int i = 0; i < n; i++)
        out[i] = kind_byte(kind, i, state);
    for (size_t i = 0; i < sizeof all_halves / sizeof *all_halves; i++)
        for (int k = 0; k < 2 && all_halves[i].format == format && all_halves[i].at[k] >= 0; k++) {
            uint16_t h = kern_kind_half(kind, k, state);
            memcpy(out + all_halves[i].at[k], &h, 2);
        }
    if (format == FORMAT_MXFP4)
        out[0] = kind_exponent(kind, state);
    if (!format_in_gguf((uint32_t)format)) { /* an f32, or its upper half and 3 bits */
        uint32_t bits = scalar_bits(kern_kind_float(kind, 0, state));
        if (format == FORMAT_NF4)
            memcpy(out, &bits, 4);
        else
            out[0] = (uint8_t)(bits >> 16), out[1] = (uint8_t)(bits >> 24);
    }
}

void kern_fill_panel(enum format_id format, enum kern_kind kind, int n_row, int n_col, uint64_t *state,
                     uint8_t *panel)
{
    const struct format *f = format_by_id((uint32_t)format);
    size_t row_bytes = (size_t)(n_col / f->block_n * f->block_bytes);
    uint8_t *rows = mem_new((size_t)n_row * row_bytes);
    for (size_t at = 0; at < (size_t)n_row * row_bytes; at += (size_t)f->block_bytes) {
        if (f->take) {
            kern_fill_block(format, kind, state, rows + at);
            continue;
        }
        float value = kern_kind_float(kind, (int)(at / (size_t)f->block_bytes), state);
        uint16_t half = kern_kind_half(kind, (int)at / 2, state), high = (uint16_t)(scalar_bits(value) >> 16);
        if (format == FORMAT_F32)
            memcpy(rows + at, &value, 4);
        else
            memcpy(rows + at, format == FORMAT_F16 ? &half : &high, 2);
    }
    panel_pack(format, rows, row_bytes, n_row, n_col, panel);
    free(rows);
}

void kern_fill_act(enum kern_kind kind, int n_tok, int n_block, int64_t group_stride, uint64_t *state,
                   struct act_block *out)
{
    int n_group = (n_tok + ACT_GROUP - 1) / ACT_GROUP, n_col = n_block * ACT_BLOCK;
    float *x = mem_new((size_t)n_tok * (size_t)n_col * 4);
    fill_floats(kind, (size_t)n_tok * (size_t)n_col * 4, state, (uint8_t *)x);
    memset(out, 0x7f, (size_t)((n_group - 1) * group_stride + n_block) * sizeof *out);
    for (int i = 0; i < n_group; i++) {
        int n_here = n_tok - i * ACT_GROUP < ACT_GROUP ? n_tok - i * ACT_GROUP : ACT_GROUP;
        quantize_c(x + (size_t)i * ACT_GROUP * (size_t)n_col, n_col, n_here, n_col, out + i * group_stride);
    }
    free(x);
}

/* ---- sizes ---- */

/* Groups beside each other in the columns (odd n) or one after another. */
static int tile_w_stride(struct kern_shape s)
{
    return s.n % 2 ? LANES * s.n_group : LANES;
}

static int tile_w_group(struct kern_shape s)
{
    return s.n % 2 ? LANES : LANES * s.n;
}

/* From row to row of the halves that become a strip. */
static int span_stride(struct kern_shape s)
{
    return s.n_group * LANES + s.x_gap;
}

/* Operations whose output has two bytes a number. */
static bool to_half(enum kern_op op)
{
    return op == KERN_TO_F16 || op == KERN_TO_BF16;
}

static bool in_place(enum kern_op op)
{
    return op == KERN_ROPE || op == KERN_RMSNORM || op == KERN_LAYERNORM || op == KERN_SILU_MUL ||
           op == KERN_GELU_MUL || op == KERN_GELU || op == KERN_GLU_CLAMPED;
}

void kern_case_plan(struct kern_case *c, const struct kern_row *row, struct kern_shape s)
{
    *c = (struct kern_case){.row = row, .s = s};
    size_t n = (size_t)s.n, n_tok = (size_t)s.n_tok;
    switch (row->op) {
    case KERN_TILE_DOT:
        c->in_bytes[0] = panel_bytes(row->format, s.n * ACT_BLOCK);
        c->in_bytes[1] =
            (size_t)((s.n_tok - 1) / ACT_GROUP * (s.n + s.x_gap) + s.n) * sizeof(struct act_block);
        c->in_bytes[2] = c->out_bytes = (size_t)((s.n_tok - 1) * s.stride + LANES) * 4;
        break;
    case KERN_TILE_F32:
        c->in_bytes[0] = (size_t)(s.n * s.n_group * LANES) * (row->format == FORMAT_F32 ? 4 : 2);
        c->in_bytes[1] = (size_t)((s.n_tok - 1) * (s.n + s.x_gap) + s.n) * 4;
        c->in_bytes[2] = c->out_bytes = (size_t)((s.n_tok - 1) * s.stride + s.n_group * LANES) * 4;
        break;
    case KERN_TILE_SPAN:
        c->in_bytes[0] = strip_bytes(row->format, s.n_group, s.n);
        c->in_bytes[1] = (size_t)((s.n_tok - 1) * (s.n + s.x_gap) + s.n) * 4;
        c->out_bytes = (size_t)((s.n_tok - 1) * s.stride + s.n_group * LANES) * 4;
        break;
    case KERN_PACK_SPAN:
        c->in_bytes[0] = (size_t)((s.n - 1) * span_stride(s) + s.n_group * LANES) * 2;
        c->out_bytes = strip_bytes(row->format, s.n_group, s.n);
        break;
    case KERN_UNPACK:
        c->in_bytes[0] = panel_bytes(row->format, s.extra + s.n);
        c->out_bytes = n * LANES * 4;
        break;
    case KERN_QUANTIZE:
        c->in_bytes[0] = (size_t)((s.n_tok - 1) * (s.n + s.x_gap) + s.n) * 4;
        c->out_bytes = n / ACT_BLOCK * sizeof(struct act_block);
        break;
    case KERN_BIAS:
        c->in_bytes[0] = LANES * 4;
        c->in_bytes[2] = c->out_bytes = (size_t)((s.n_tok - 1) * s.stride + LANES) * 4;
        break;
    case KERN_SPAN_SOFTMAX: /* the scores, then max and sum of each query */
        c->in_bytes[0] = n_tok * 64 * 4;
        c->out_bytes = c->in_bytes[0] + n_tok * 2 * 4;
        break;
    case KERN_SPAN_MERGE: /* max, sum, out of all queries: the running ones, the span's */
        c->in_bytes[0] = c->in_bytes[1] = c->out_bytes = n_tok * (n + 2) * 4;
        break;
    default: /* vectors: n floats (rope: pairs) in, n out */
        c->in_bytes[0] = c->in_bytes[1] = (row->op == KERN_ROPE ? 2 * n : n) * 4;
        c->in_bytes[2] = row->op == KERN_LAYERNORM ? n * 4 : 0;
        c->out_bytes = to_half(row->op) ? 2 * n : c->in_bytes[0];
        if (row->op == KERN_SUM_EXP || row->op == KERN_ARGMAX)
            c->out_bytes = 4;
    }
}

/* ---- inputs ---- */

static void fill_tile_dot(struct kern_case *c, uint64_t *state)
{
    struct kern_shape s = c->s;
    enum kern_kind x = s.kind == KIND_RANDOM ? KIND_RANDOM : (enum kern_kind)(kern_random(state) % N_KIND);
    kern_fill_panel(c->row->format, s.kind, LANES - s.n_tok % 3, s.n * ACT_BLOCK, state, c->in[0]);
    kern_fill_act(x, s.n_tok, s.n, s.n + s.x_gap, state, (struct act_block *)c->in[1]);
    fill_floats(KIND_RANDOM, c->in_bytes[2], state, c->in[2]);
}

static void fill_tile_f32(struct kern_case *c, uint64_t *state)
{
    if (c->row->format != FORMAT_F32)
        for (size_t i = 0; i < c->in_bytes[0] / 2; i++) {
            uint16_t h = c->row->format == FORMAT_F16
                             ? kern_kind_half(c->s.kind, (int)i, state)
                             : (uint16_t)(scalar_bits(kern_kind_float(c->s.kind, (int)i, state)) >> 16);
            memcpy(c->in[0] + 2 * i, &h, 2);
        }
    else
        fill_floats(c->s.kind, c->in_bytes[0], state, c->in[0]);
    fill_floats(c->s.kind, c->in_bytes[1], state, c->in[1]);
    fill_floats(KIND_RANDOM, c->in_bytes[2], state, c->in[2]);
}

static void fill_halves(struct kern_case *c, size_t n_bytes, uint64_t *state)
{
    for (size_t i = 0; i < n_bytes / 2; i++) {
        uint16_t h = kern_kind_half(c->s.kind, (int)i, state);
        memcpy(c->in[0] + 2 * i, &h, 2);
    }
}

static void fill_tile_span(struct kern_case *c, uint64_t *state)
{
    size_t head = strip_head_bytes(c->s.n);
    fill_halves(c, head, state);
    for (size_t i = head; i < c->in_bytes[0]; i++)
        c->in[0][i] = kind_byte(c->s.kind, (int)i, state);
    fill_floats(c->s.kind, c->in_bytes[1], state, c->in[1]);
}

static void fill_span_merge(struct kern_case *c, uint64_t *state)
{
    int n_query = c->s.n_tok;
    fill_floats(c->s.kind, c->in_bytes[0], state, c->in[0]);
    fill_floats(c->s.kind, c->in_bytes[1], state, c->in[1]);
    float *run = (float *)c->in[0], *span = (float *)c->in[1];
    for (int q = 0; q < n_query; q++) {
        span[q] = kern_random(state) % 4 ? run[q] + kern_random_float(state) : span[q];
        if ((c->s.extra + q) & 1) {
            run[q] = -INFINITY;
            run[n_query + q] = run[2 * n_query + q * c->s.n] = NAN; /* what is not read must not matter */
        }
        if ((c->s.extra + q) & 2)
            span[q] = -INFINITY;
    }
}

static void fill_vectors(struct kern_case *c, uint64_t *state)
{
    enum kern_op op = c->row->op;
    fill_floats(c->s.kind, c->in_bytes[0], state, c->in[0]);
    fill_floats(KIND_RANDOM, c->in_bytes[1], state, c->in[1]);
    fill_floats(KIND_RANDOM, c->in_bytes[2], state, c->in[2]);
    for (int i = 0; op == KERN_TO_BF16 && c->s.kind == KIND_TIES && i < c->s.n; i++) { /* half way */
        float tie = scalar_from_bits((uint32_t)kern_random(state) >> 2 << 16 | 0x8000);
        memcpy(c->in[0] + 4 * i, &tie, 4);
    }
    if (op == KERN_SOFTCAP)
        c->number = 30.0f;
    else if (op == KERN_SUM_EXP || op == KERN_ROPE)
        c->number = kern_kind_float(c->s.kind, 0, state);
    else
        c->number = c->s.kind == KIND_ZERO ? 0.0f : 1e-5f;
}

void kern_case_fill(struct kern_case *c, uint64_t *state)
{
    c->begin = NULL;
    switch (c->row->op) {
    case KERN_TILE_DOT:
        fill_tile_dot(c, state);
        c->begin = c->in[2];
        break;
    case KERN_TILE_F32:
        fill_tile_f32(c, state);
        c->begin = c->in[2];
        break;
    case KERN_TILE_SPAN:
        fill_tile_span(c, state);
        break;
    case KERN_PACK_SPAN:
        fill_halves(c, c->in_bytes[0], state);
        break;
    case KERN_UNPACK:
        kern_fill_panel(c->row->format, c->s.kind, LANES - c->s.n_tok % 3, c->s.extra + c->s.n, state,
                        c->in[0]);
        break;
    case KERN_QUANTIZE:
        fill_floats(c->s.kind, c->in_bytes[0], state, c->in[0]);
        break;
    case KERN_BIAS:
        fill_floats(c->s.kind, c->in_bytes[0], state, c->in[0]);
        fill_floats(KIND_RANDOM, c->in_bytes[2], state, c->in[2]);
        c->begin = c->in[2];
        break;
    case KERN_SPAN_SOFTMAX:
        fill_floats(c->s.kind, c->in_bytes[0], state, c->in[0]);
        for (int q = 0; q < c->s.n_tok; q++)
            c->n_key[q] = (c->s.n + q * 13) % 65;
        c->begin = c->in[0];
        break;
    case KERN_SPAN_MERGE:
        fill_span_merge(c, state);
        c->begin = c->in[0];
        break;
    default:
        fill_vectors(c, state);
        c->begin = c->row->op == KERN_SOFTCAP || (c->s.extra && in_place(c->row->op)) ? c->in[0] : NULL;
    }
}

/* ---- the call ---- */

void kern_case_start(const struct kern_case *c, uint8_t *out)
{
    size_t n = 0;
    if (c->begin) {
        n = c->begin == c->in[0] ? c->in_bytes[0] : c->in_bytes[2];
        memcpy(out, c->begin, n);
    }
    memset(out + n, 0xa5, c->out_bytes - n);
}

void kern_case_call(const struct kern_case *c, const struct kern_row *row, uint8_t *out)
{
    struct kern_shape s = c->s;
    float *y = (float *)out;
    const float *in0 = (const float *)c->in[0], *in1 = (const float *)c->in[1];
    const float *x = in_place(row->op) && s.extra ? y : in0;
    switch (row->op) {
    case KERN_TILE_DOT:
        ((tile_dot_fn *)row->fn)(c->in[0], s.n, (const struct act_block *)c->in[1], s.n + s.x_gap, s.n_tok,
                                 s.extra != 0, y, s.stride);
        break;
    case KERN_TILE_F32:
        ((tile_f32_fn *)row->fn)(c->in[0], tile_w_stride(s), tile_w_group(s), s.n_group, s.n, in1,
                                 s.n + s.x_gap, s.n_tok, s.extra != 0, y, s.stride);
        break;
    case KERN_TILE_SPAN:
        ((tile_span_fn *)row->fn)(c->in[0], s.n_group, s.n, in1, s.n + s.x_gap, s.n_tok, y, s.stride);
        break;
    case KERN_PACK_SPAN:
        ((pack_span_fn *)row->fn)((const uint16_t *)c->in[0], span_stride(s), s.n_group, s.n, out);
        break;
    case KERN_UNPACK:
        ((unpack_fn *)row->fn)(c->in[0], s.extra, s.n, y);
        break;
    case KERN_QUANTIZE:
        ((quantize_fn *)row->fn)(in0, s.n + s.x_gap, s.n_tok, s.n, (struct act_block *)out);
        break;
    case KERN_BIAS:
        ((bias_fn *)row->fn)(in0, s.n_tok, s.extra != 0, y, s.stride);
        break;
    case KERN_RMSNORM:
        ((rmsnorm_fn *)row->fn)(x, in1, s.n, c->number, y);
        break;
    case KERN_LAYERNORM:
        ((layernorm_fn *)row->fn)(x, in1, (const float *)c->in[2], s.n, c->number, y);
        break;
    case KERN_ROPE:
        ((rope_fn *)row->fn)(x, in1, s.n, c->number, y);
        break;
    case KERN_SILU_MUL:
        ((silu_mul_fn *)row->fn)(x, in1, y, s.n);
        break;
    case KERN_GELU_MUL:
        ((gelu_mul_fn *)row->fn)(x, in1, y, s.n);
        break;
    case KERN_GELU:
        ((gelu_fn *)row->fn)(x, y, s.n);
        break;
    case KERN_GLU_CLAMPED:
        ((glu_clamped_fn *)row->fn)(x, in1, y, s.n);
        break;
    case KERN_SOFTCAP:
        ((softcap_fn *)row->fn)(y, s.n, c->number);
        break;
    case KERN_SPAN_SOFTMAX:
        ((span_softmax_fn *)row->fn)(y, s.n_tok, c->n_key, y + s.n_tok * 64, y + s.n_tok * 65);
        break;
    case KERN_SPAN_MERGE:
        ((span_merge_fn *)row->fn)(y, y + s.n_tok, y + 2 * s.n_tok, in1, in1 + s.n_tok, in1 + 2 * s.n_tok,
                                   s.n_tok, s.n);
        break;
    case KERN_TO_F16:
        ((to_f16_fn *)row->fn)(in0, (uint16_t *)out, s.n);
        break;
    case KERN_TO_BF16:
        ((to_bf16_fn *)row->fn)(in0, (uint16_t *)out, s.n);
        break;
    case KERN_ARGMAX: {
        int32_t at = ((argmax_fn *)row->fn)(in0, s.n);
        memcpy(out, &at, 4);
        break;
    }
    case KERN_SUM_EXP: {
        float sum = ((sum_exp_fn *)row->fn)(in0, s.n, c->number);
        memcpy(out, &sum, 4);
        break;
    }
    case KERN_N_OP:
        break;
    }
}

/* ---- the comparison ---- */

/* `infinity`: its bits, above which lie those of NaN. */
static bool same_half(uint16_t a, uint16_t b, uint16_t infinity)
{
    return a == b || ((a & 0x7fff) > infinity && (b & 0x7fff) > infinity);
}

static bool same_word(const struct kern_case *c, size_t i, uint32_t a, uint32_t b)
{
    static const size_t word_d = offsetof(struct act_block, d) / 4,
                        word_n8sum = offsetof(struct act_block, n8sum) / 4;
    size_t at = i % (sizeof(struct act_block) / 4), n_score = (size_t)c->s.n_tok * 64;
    if (a == b)
        return true;
    if (c->row->op == KERN_ARGMAX || c->row->op == KERN_PACK_SPAN ||
        (c->row->op == KERN_QUANTIZE && (at < word_d || at >= word_n8sum)))
        return false; /* integers */
    /* The largest of a row of zeros may be either zero: nothing that follows can tell. */
    if (c->row->op == KERN_SPAN_SOFTMAX && i >= n_score && i < n_score + (size_t)c->s.n_tok &&
        (a | b) << 1 == 0)
        return true;
    return (a & 0x7fffffff) > 0x7f800000 && (b & 0x7fffffff) > 0x7f800000;
}

bool kern_case_same(const struct kern_case *c, const uint8_t *a, const uint8_t *b, size_t *at)
{
    bool half = to_half(c->row->op);
    uint16_t infinity = c->row->op == KERN_TO_F16 ? 0x7c00 : 0x7f80;
    if (memcmp(a, b, c->out_bytes) == 0)
        return true;
    size_t step = half ? 2 : 4;
    for (size_t i = 0; i < c->out_bytes / step; i++) {
        uint16_t ha, hb;
        uint32_t wa, wb;
        memcpy(half ? (void *)&ha : &wa, a + i * step, step);
        memcpy(half ? (void *)&hb : &wb, b + i * step, step);
        *at = i;
        if (half ? !same_half(ha, hb, infinity) : !same_word(c, i, wa, wb))
            return false;
    }
    return true;
}
