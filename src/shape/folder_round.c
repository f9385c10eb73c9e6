/* Rows of a folder's matrices, one after another, from blocks to the arrays of packed_values. */
#include "shape/folder_round.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/pool.h"
#include "quant/int_fit.h"
#include "quant/int_scale.h"
#include "quant/level_round.h"
#include "quant/parts.h"

bool folder_type_of(const struct packed_write *w, uint64_t n_col, uint32_t scale_type,
                    struct folder_type *out)
{
    static const uint32_t ints[] = {FORMAT_INT4_128, FORMAT_INT4_64, FORMAT_INT4_32},
                          bytes[] = {FORMAT_INT8_128, FORMAT_INT8_32, FORMAT_INT8_32};
    uint64_t group = w->group < 0 ? n_col : (uint64_t)w->group;
    if (w->kind == WRITE_NF4) {
        out->grid = (struct int_grid){.levels = nf4_levels};
        out->f = *format_by_id(FORMAT_NF4);
        out->f.ints = &out->grid;
        return n_col % (uint64_t)out->f.block_n == 0;
    }
    bool is_bytes = w->kind == WRITE_BYTES;
    for (int i = 0; i < 3; i++) {
        const struct format *f = format_by_id((is_bytes ? bytes : ints)[i]);
        if (group % (uint64_t)f->block_n)
            continue;
        /* a zero point of 0 is stored as -1 by gptq, which not every reader undoes */
        out->grid = (struct int_grid){.q_hi = is_bytes ? 254 : 15,
                                      .zero = is_bytes       ? 127
                                              : w->symmetric ? 8
                                                             : -1,
                                      .z_lo = w->kind == WRITE_GPTQ,
                                      .z_hi = 15,
                                      .scale_of = scale_type,
                                      .group = (int)group,
                                      .code_0 = is_bytes}; /* codes 0..254 are -127..127, stored + 128 */
        out->f = *f;
        out->f.ints = &out->grid;
        return true;
    }
    return false;
}

/* ---- integers ---- */

struct rounding {
    const struct folder_rows *rows;
    const struct folder_type *type;
    struct packed_values *v;
};

static void take_row(const struct rounding *r, uint64_t row, const struct parts *p)
{
    struct packed_values *v = r->v;
    const struct format *f = &r->type->f;
    const int *order = r->rows->order;
    uint64_t bn = (uint64_t)f->block_n;
    for (uint64_t k = 0; k < v->n_col; k++)
        v->q[row * v->n_col + (order ? (uint64_t)order[k] : k)] = p[k / bn].q[k % bn];
    for (uint64_t g = 0; g < v->n_group; g++) {
        const struct parts *first = &p[g * v->group / bn];
        v->scale[row * v->n_group + g] = int_scale(first->d[0], first->mn[0]);
        v->zero[row * v->n_group + g] = (uint8_t)int_fit_zero(f, first);
    }
}

static void round_row(const struct pool_op *op, int row, int worker)
{
    const struct rounding *r = op->arg;
    const struct format *f = &r->type->f;
    int64_t n = (int64_t)r->v->n_col, n_block = n / f->block_n;
    struct parts *p = mem_new((size_t)n_block * sizeof *p);
    if (!r->rows->made)
        int_fit(f, r->rows->x + row * n, r->rows->importance, n, p);
    for (int64_t b = 0; r->rows->made && b < n_block; b++)
        f->take(r->rows->made + (row * n_block + b) * f->block_bytes, &p[b]);
    take_row(r, (uint64_t)row, p);
    free(p);
}

static void round_ints(const struct folder_rows *rows, struct pool *pool, struct packed_values *v)
{
    struct folder_type type;
    folder_type_of(rows->w, v->n_col, v->scale_type, &type);
    struct rounding r = {rows, &type, v};
    struct pool_op op = {.run = round_row, .arg = &r, .n_piece = (int)v->n_row, .layer = -1, .name = "round"};
    for (uint64_t k = 0; rows->order && k < v->n_col; k++)
        v->g_idx[rows->order[k]] = (int32_t)(k / v->group);
    pool_run(pool, &op, 1);
    pool_settle(pool);
}

/* ---- NF4 ---- */

enum { NF4_GROUP = 64 };

static void scale_nf4_row(const struct pool_op *op, int row, int worker)
{
    const struct rounding *r = op->arg;
    uint64_t n = r->v->n_col;
    const float *h = r->rows->importance;
    for (uint64_t k = 0; k < n; k += NF4_GROUP)
        r->v->scale[((uint64_t)row * n + k) / NF4_GROUP] =
            level_scale(nf4_levels, r->rows->x + (uint64_t)row * n + k, h ? h + k : NULL, NF4_GROUP);
}

/* Codes and scales of a row that a method made; its scales are then brought to 8 bits, and its codes stay. */
static void take_nf4_row(const struct pool_op *op, int row, int worker)
{
    const struct rounding *r = op->arg;
    const struct format *f = format_by_id(FORMAT_NF4);
    uint64_t n_block = r->v->n_col / NF4_GROUP, first = (uint64_t)row * n_block;
    struct parts p;
    for (uint64_t b = first; b < first + n_block; b++) {
        f->take(r->rows->made + b * (uint64_t)f->block_bytes, &p);
        uint32_t bits = p.d[0] | (uint32_t)p.d[1] << 16;
        memcpy(&r->v->scale[b], &bits, sizeof bits);
        memcpy(r->v->q + b * NF4_GROUP, p.q, NF4_GROUP);
    }
}

static void round_nf4(const struct folder_rows *rows, struct pool *pool, struct packed_values *v)
{
    struct rounding r = {rows, NULL, v};
    struct pool_op op = {.run = rows->made ? take_nf4_row : scale_nf4_row,
                         .arg = &r,
                         .n_piece = (int)v->n_row,
                         .layer = -1,
                         .name = "round"};
    pool_run(pool, &op, 1);
    pool_settle(pool);
    packed_nest(v);
    for (uint64_t k = 0; !rows->made && k < v->n_row * v->n_col; k++) {
        float d = v->scale[k / NF4_GROUP];
        v->q[k] = (uint8_t)level_nearest(nf4_levels, d > 0 ? rows->x[k] / d : 0);
    }
}

void folder_round(const struct folder_rows *r, struct pool *pool, struct packed_values *v)
{
    if (r->w->kind == WRITE_NF4)
        round_nf4(r, pool, v);
    else
        round_ints(r, pool, v);
}
