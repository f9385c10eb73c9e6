/* One kernel call as data: a shape, generated inputs, the output, and when two outputs are the same. The check
 * at the first start on a CPU (kern_check.h) and the tests call kernels through it.
 *
 *     plan    how large the inputs and the output are
 *     fill    generates the inputs, in memory that the caller provides
 *     start   gives the output its state before the call
 *     call    runs a row
 *     same    compares two outputs bit for bit; any NaN equals any, which one comes out of two is up to the
 *             order of operands that a compiler chose */
#ifndef LATHE_KERN_KERN_CASE_H
#define LATHE_KERN_KERN_CASE_H
#include "kern/kern.h"

enum kern_kind {
    KIND_ZERO,
    KIND_EXTREME,
    KIND_ALTERNATING,
    KIND_DENORMAL,
    KIND_RANDOM,
    KIND_NAN,
    KIND_INF,
    KIND_TIES, /* half way between two int8 of a block whose largest is 127, or between two f16 */
    N_KIND
};

struct kern_shape {
    enum kern_kind kind;
    int n;      /* blocks, columns, elements; of a strip rows */
    int n_tok;  /* tokens, queries; unpack: n_tok % 3 rows of the panel are absent */
    int extra;  /* tiles: add; unpack: first column; span_merge: which values are missing; else in place */
    int stride; /* tiles: of the output */
    int x_gap; /* tile_dot: blocks between groups; tile_f32, tile_span, pack_span, quantize: columns between rows */
    int n_group; /* tile_f32, tile_span, pack_span: groups of 16 lanes */
};

enum { KERN_N_IN = 3, KERN_MAX_QUERY = 16 };

struct kern_case {
    const struct kern_row *row; /* its operation and format count */
    struct kern_shape s;
    uint8_t *in[KERN_N_IN]; /* the caller's; panels 64-byte aligned, the rest 4 */
    size_t in_bytes[KERN_N_IN], out_bytes;
    int n_key[KERN_MAX_QUERY];
    float number;
    const uint8_t *begin; /* what the output holds before the call; NULL: nothing that matters */
};

void kern_case_plan(struct kern_case *c, const struct kern_row *row, struct kern_shape s);
/* `state`: of the random numbers. */
void kern_case_fill(struct kern_case *c, uint64_t *state);
void kern_case_start(const struct kern_case *c, uint8_t *out);
void kern_case_call(const struct kern_case *c, const struct kern_row *row, uint8_t *out);
/* *at: the first element (2 bytes of to_f16 and to_bf16, else 4) that differs. */
bool kern_case_same(const struct kern_case *c, const uint8_t *a, const uint8_t *b, size_t *at);

/* ---- generated numbers ---- */
uint64_t kern_random(uint64_t *state);
/* Near normal, with a magnitude that now and then is far off. */
float kern_random_float(uint64_t *state);
/* Element i of a kind. */
float kern_kind_float(enum kern_kind kind, int i, uint64_t *state);
uint16_t kern_kind_half(enum kern_kind kind, int i, uint64_t *state);
/* A block of a format's file form: integers and scales of a kind. */
void kern_fill_block(enum format_id format, enum kern_kind kind, uint64_t *state, uint8_t *out);
/* A panel of n_row rows of blocks as a file has them; n_row < 16 leaves rows that panel_pack fills. */
void kern_fill_panel(enum format_id format, enum kern_kind kind, int n_row, int n_col, uint64_t *state,
                     uint8_t *panel);
/* Activations of n_tok tokens as plain C quantizes them, groups at group_stride, bytes of 0x7f between. */
void kern_fill_act(enum kern_kind kind, int n_tok, int n_block, int64_t group_stride, uint64_t *state,
                   struct act_block *out);
#endif
