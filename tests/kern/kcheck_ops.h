/* Kernel calls (kern/kern_case.h) in guarded memory, and the shapes that each operation is checked with. */
#ifndef LATHE_TESTS_KERN_KCHECK_OPS_H
#define LATHE_TESTS_KERN_KCHECK_OPS_H
#include "kern/kcheck_data.h"

struct call {
    struct kern_case c;
    struct guarded in[KERN_N_IN];
};

static inline void call_new(struct call *call, const struct kern_row *row, struct kern_shape s)
{
    kern_case_plan(&call->c, row, s);
    for (int i = 0; i < KERN_N_IN; i++) {
        call->in[i] = guarded_new(call->c.in_bytes[i]);
        call->c.in[i] = call->in[i].p;
    }
    kern_case_fill(&call->c, &rng_state);
}

static inline void call_free(struct call *call)
{
    for (int i = 0; i < KERN_N_IN; i++)
        guarded_free(&call->in[i]);
}

/* The output buffer before a call. */
static inline struct ringed call_output(const struct call *call)
{
    struct ringed r = ringed_new(call->c.out_bytes);
    kern_case_start(&call->c, r.p);
    return r;
}

/* Case `i` of an operation; false past the last. Every shape is run with every kind of data. */
static inline bool shape_at(const struct kern_row *row, int i, struct kern_shape *s)
{
    static const int lengths[] = {1,  2,  3,  5,  7,  8,  9,  12, 15, 16, 17, 23, 24,  25,  31,  32,
                                  33, 40, 47, 48, 49, 63, 64, 65, 80, 95, 96, 97, 127, 129, 576, 577};
    static const int blocks[] = {1, 2, 3, 4, 5, 18};
    static const int columns[] = {1, 2, 3, 8, 15, 16, 17, 64, 65};
    enum { N_LENGTH = sizeof lengths / sizeof *lengths };
    *s = (struct kern_shape){.kind = (enum kern_kind)(i % N_KIND)};
    i /= N_KIND;
    switch (row->op) {
    case KERN_TILE_DOT: /* the panel's columns end half way through a group for odd counts */
        s->n_tok = i % 12 + 1;
        s->n = blocks[i / 12 % 6];
        if (format_by_id((uint32_t)row->format)->block_n > ACT_BLOCK)
            s->n = i / 12 % 6 % 4 * 8 + 8;
        s->extra = i / 72 % 2;
        s->x_gap = i / 144;
        s->stride = LANES + 3 * (i / 3 % 2);
        return i < 12 * 6 * 2 * 2;
    case KERN_TILE_F32:
        s->n_tok = i % 12 + 1;
        s->extra = i / 12 % 2;
        s->n = columns[i / 24 % 9];
        s->x_gap = (i / 24 + i / 216) % 3 == 0                 ? 3
                   : s->n <= 64 && (i / 24 + i / 216) % 3 == 1 ? 64 - s->n
                                                               : 128 - s->n;
        s->n_group = i / 216 + 1;
        s->stride = LANES * s->n_group + 5 * (i / 3 % 2);
        return i < 12 * 2 * 9 * 6;
    case KERN_TILE_SPAN:
    case KERN_PACK_SPAN:
        s->n_tok = i % 12 + 1;
        s->n_group = i / 12 % 4 + 1;
        s->n = columns[i / 48 % 9];
        s->x_gap = i / 48 % 3 * 5;
        s->stride = LANES * s->n_group + 5 * (i / 3 % 2);
        return i < 12 * 4 * 9;
    case KERN_UNPACK: { /* n columns from column `extra` on */
        int step = format_by_id((uint32_t)row->format)->block_n;
        s->n = (i % 6 + 1) * step;
        s->n_tok = i;
        s->extra = i / 6 % 4 * step;
        return i < 24;
    }
    case KERN_QUANTIZE:
        s->n = (i / 4 % 5 + 1) * ACT_BLOCK;
        s->n_tok = i % 4 + 1;
        s->x_gap = i / 20 * 5;
        return i < 40;
    case KERN_SPAN_SOFTMAX:
        s->n = i % 65;
        s->n_tok = i / 65 * 4 + 1;
        return i < 65 * 3;
    case KERN_SPAN_MERGE:
        s->n = lengths[i / 4 % N_LENGTH];
        s->n_tok = i / 4 % 12 + 1;
        s->extra = i % 4;
        return i < 4 * N_LENGTH;
    default:
        s->n = lengths[i / 2 % N_LENGTH];
        s->extra = i % 2;
        return i < 2 * N_LENGTH;
    }
}
#endif
