/* The feed-forward of a layer with experts, as operations of a pass.
 *
 *     router      logits of all experts for each row
 *     route       each row chooses its experts; (row, rank) pairs are sorted by expert
 *     gather      the pairs' inputs, which are the router's, in groups of 4 slots of one expert
 *     gate, up    a piece is a run of panels of one expert over all its slots
 *     quantize    what the next product reads
 *     down        as gate, up
 *     combine     x += weight * result, in the order of a row's ranks
 *
 * A slot is one row at one expert; an expert's slots begin at a multiple of 4, as activations are interleaved. How many experts
 * are chosen shows when the pass runs: operations have pieces for as many as there may be, the rest do nothing. What a slot
 * holds does not depend on the others, so results are those of each row alone. */
#include "model/experts.h"
#include <stdlib.h>
#include <string.h>
#include "kern/scalar.h"
#include "model/pass_impl.h"

struct layer_op {
    struct experts *x;
    const struct moe *moe;
    struct matmul router;           /* prepares the experts' input with its own */
    struct pool_op *gate_up, *down; /* of the pass that runs */
};

struct experts {
    struct pass *p;
    struct layer_op *layers;
    struct matmul plain; /* what a tile of an expert needs to know of a product: nothing but the pass */
    int n_expert, n_used, n_row, n_active, max_active;
    uint64_t bytes_read;
    int64_t n_group; /* of slots, at most */
    float *logits;   /* [n_row][logits_stride] */
    int64_t logits_stride, ff_stride;
    int32_t *chosen; /* [n_row][n_used] experts, then slots */
    float *weight;   /* [n_row][n_used] */
    int32_t *count;  /* [n_expert + 1] */
    int32_t *active; /* [max_active] experts that have slots, ascending */
    int32_t *first;  /* [max_active + 1] slot of each one's first row */
    int32_t *n_slot; /* [max_active] */
    int32_t *row_of; /* [slot], -1: none */
    float *norm;     /* [slot][...], where experts read f32 */
    float *ff, *out; /* [slot][...] */
    struct act_block *act, *inner;
};

static bool reads_int8(const struct matrix *w)
{
    return w->dot != NULL;
}

static int64_t slots_of(const struct experts *x, int64_t n_row)
{
    int64_t pairs = n_row * x->n_used, experts = pairs < x->n_expert ? pairs : x->n_expert;
    return (pairs + experts * (ACT_GROUP - 1)) / ACT_GROUP * ACT_GROUP + ACT_GROUP;
}

static bool any_reads_f32(const struct lathe_model *m)
{
    bool any = false;
    for (int i = 0; i < m->config.n_layer; i++)
        any |= !reads_int8(&m->layers[i].moe->expert[0].gate);
    return any;
}

static int describe(struct experts *x, struct lathe_err *err)
{
    const struct lathe_model *m = x->p->model;
    TRY(mem_try((size_t)m->config.n_layer, sizeof *x->layers, "experts", (void **)&x->layers, err));
    for (int i = 0; i < m->config.n_layer; i++) {
        const struct model_layer *y = &m->layers[i];
        struct layer_op *op = &x->layers[i];
        *op = (struct layer_op){.x = x, .moe = y->moe};
        op->router = (struct matmul){
            .pass = x->p,
            .in = {.x = x->p->x, .x_stride = x->p->x_stride, .norm = y->ffn_norm, .n_col = m->config.n_embd},
            .w = {&y->moe->router},
            .y = {x->logits},
            .y_stride = {x->logits_stride},
            .n_w = 1,
            .name = "router"};
        matmul_needs(&op->router);
        op->router.in.need_int8 |= reads_int8(&y->moe->expert[0].gate);
        op->router.in.need_f32 |= !reads_int8(&y->moe->expert[0].gate);
    }
    return 0;
}

int experts_new(struct pass *p, struct experts **out, struct lathe_err *err)
{
    const struct model_config *c = &p->model->config;
    *out = NULL;
    if (!c->n_expert)
        return 0;
    struct experts *x = mem_new(sizeof *x);
    *out = x;
    *x = (struct experts){.p = p, .n_expert = c->n_expert, .n_used = c->n_expert_used, .plain = {.pass = p}};
    int64_t n = p->limits.n_row, n_slot = slots_of(x, n);
    x->max_active = (int)(n * x->n_used < x->n_expert ? n * x->n_used : x->n_expert);
    x->logits_stride = pass_pad(x->n_expert);
    x->ff_stride = pass_pad(c->n_ff);
    const int64_t blocks = c->n_embd / ACT_BLOCK + 1, inner = c->n_ff / ACT_BLOCK + 1;
    TAKE(p, n * x->logits_stride, x->logits, "experts");
    TAKE(p, n * x->n_used, x->chosen, "experts");
    TAKE(p, n * x->n_used, x->weight, "experts");
    TAKE(p, x->n_expert + 1, x->count, "experts");
    TAKE(p, x->max_active, x->active, "experts");
    TAKE(p, x->max_active + 1, x->first, "experts");
    TAKE(p, x->max_active, x->n_slot, "experts");
    TAKE(p, n_slot, x->row_of, "experts");
    if (any_reads_f32(p->model))
        TAKE(p, n_slot * p->x_stride, x->norm, "experts");
    TAKE(p, n_slot * x->ff_stride, x->ff, "experts");
    TAKE(p, n_slot * p->x_stride, x->out, "experts");
    TAKE(p, n_slot / ACT_GROUP * blocks, x->act, "experts");
    TAKE(p, n_slot / ACT_GROUP * inner, x->inner, "experts");
    return p->is_count ? 0 : describe(x, err);
}

void experts_free(struct experts *x)
{
    if (!x)
        return;
    void *all[] = {x->layers, x->logits, x->chosen, x->weight, x->count, x->active, x->first,
                   x->n_slot, x->row_of, x->norm,   x->ff,     x->out,   x->act,    x->inner};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(x);
}

/* ---- routing ---- */

/* The n_used largest logits, descending, ties to the lower expert. */
static void largest(const float *logit, int n_expert, int n_used, int32_t *chosen)
{
    for (int e = 0; e < n_expert; e++) {
        int at = e < n_used ? e : n_used;
        while (at > 0 && logit[e] > logit[chosen[at - 1]])
            at--;
        if (at == n_used)
            continue;
        for (int i = e < n_used ? e : n_used - 1; i > at; i--)
            chosen[i] = chosen[i - 1];
        chosen[at] = e;
    }
}

/* A row's experts and their shares: softmax over them, or over all experts. */
static void choose(const struct experts *x, const float *logit, int32_t *chosen, float *weight)
{
    const struct model_config *c = &x->p->model->config;
    float sum = 0;
    largest(logit, x->n_expert, x->n_used, chosen);
    for (int i = 0; i < x->n_used; i++) {
        weight[i] = scalar_exp(logit[chosen[i]] - logit[chosen[0]]);
        sum += weight[i];
    }
    if (!c->expert_norm) {
        sum = 0;
        for (int e = 0; e < x->n_expert; e++)
            sum += scalar_exp(logit[e] - logit[chosen[0]]);
    }
    for (int i = 0; i < x->n_used; i++)
        weight[i] /= sum;
}

/* What the products have to read, now that it shows. */
static void count_bytes(struct layer_op *a)
{
    const struct expert *e = &a->moe->expert[0];
    a->gate_up->bytes = (double)a->x->n_active * (double)(matrix_bytes(&e->gate) + matrix_bytes(&e->up));
    a->down->bytes = (double)a->x->n_active * (double)matrix_bytes(&e->down);
    a->x->bytes_read += (uint64_t)(a->gate_up->bytes + a->down->bytes);
}

uint64_t experts_bytes_read(const struct experts *x)
{
    return x ? x->bytes_read : 0;
}

/* Slots of all experts that were chosen, in ascending order of experts, rows ascending within one. */
static void sort_by_expert(struct experts *x)
{
    int n_pair = x->n_row * x->n_used;
    memset(x->count, 0, (size_t)(x->n_expert + 1) * sizeof *x->count);
    for (int i = 0; i < n_pair; i++)
        x->count[x->chosen[i]]++;
    x->n_active = x->first[0] = 0;
    for (int e = 0; e < x->n_expert; e++) {
        int n = x->count[e], a = x->n_active;
        if (!n)
            continue;
        x->active[a] = e;
        x->n_slot[a] = n;
        x->count[e] = x->first[a];
        x->first[a + 1] = x->first[a] + (n + ACT_GROUP - 1) / ACT_GROUP * ACT_GROUP;
        x->n_active++;
    }
    for (int i = 0; i < x->first[x->n_active]; i++)
        x->row_of[i] = -1;
    for (int i = 0; i < n_pair; i++) {
        int slot = x->count[x->chosen[i]]++;
        x->row_of[slot] = i / x->n_used;
        x->chosen[i] = slot;
    }
}

static void route_piece(const struct pool_op *op, int piece, int worker)
{
    struct experts *x = ((const struct layer_op *)op->arg)->x;
    for (int r = 0; r < x->n_row; r++)
        choose(x, x->logits + r * x->logits_stride, x->chosen + (int64_t)r * x->n_used,
               x->weight + (int64_t)r * x->n_used);
    sort_by_expert(x);
    count_bytes(&x->layers[op->layer]);
}

/* ---- the products ---- */

/* Rows in the group of slots; 0 past the last group. */
static int group_rows(const struct experts *x, int group)
{
    int n = 0, slot = group * ACT_GROUP;
    if (slot >= x->first[x->n_active])
        return 0;
    while (n < ACT_GROUP && x->row_of[slot + n] >= 0)
        n++;
    return n;
}

/* Token t of a group of four in `from` becomes token i of the group in `to`, n blocks long. */
static void copy_token(const struct act_block *from, int t, struct act_block *to, int i, int n)
{
    for (int b = 0; b < n; b++) {
        for (int j = 0; j < ACT_BLOCK / 4; j++)
            memcpy(to[b].q[j][i], from[b].q[j][t], sizeof to[b].q[j][i]);
        to[b].d[i] = from[b].d[t];
        to[b].s[i] = from[b].s[t];
        to[b].n8sum[i] = from[b].n8sum[t];
        memcpy(to[b].half[i], from[b].half[t], sizeof to[b].half[i]);
    }
}

static void gather_piece(const struct pool_op *op, int group, int worker)
{
    const struct layer_op *a = op->arg;
    struct experts *x = a->x;
    int n = group_rows(x, group), slot = group * ACT_GROUP, n_col = a->router.in.n_col,
        n_block = n_col / ACT_BLOCK;
    if (!n)
        return;
    struct prepared in = matmul_input(&a->router, worker);
    struct act_block *to = x->act + (int64_t)group * n_block;
    bool is_int8 = reads_int8(&a->moe->expert[0].gate);
    if (is_int8 && n < ACT_GROUP)
        memset(to, 0, (size_t)n_block * sizeof *to);
    for (int i = 0; i < n; i++) {
        int row = x->row_of[slot + i];
        if (is_int8)
            copy_token(in.act + (int64_t)(row / ACT_GROUP) * n_block, row % ACT_GROUP, to, i, n_block);
        else
            memcpy(x->norm + (slot + i) * x->p->x_stride, in.f32 + row * in.f32_stride,
                   (size_t)n_col * sizeof *x->norm);
    }
}

static void inner_piece(const struct pool_op *op, int group, int worker)
{
    const struct layer_op *a = op->arg;
    struct experts *x = a->x;
    int n = group_rows(x, group), n_ff = x->p->model->config.n_ff;
    if (n)
        x->p->kern->quantize(x->ff + group * ACT_GROUP * x->ff_stride, x->ff_stride, n, n_ff,
                             x->inner + (int64_t)group * (n_ff / ACT_BLOCK));
}

/* A run of panels of one expert: which, and which panels. */
struct run {
    int active, first, last;
};

static int panels_per_piece(const struct matrix *w)
{
    int n = (int)(PIECE_BYTES / w->panel_bytes);
    return n < 1 ? 1 : n;
}

static int pieces_of(const struct matrix *w)
{
    return (w->n_panel + panels_per_piece(w) - 1) / panels_per_piece(w);
}

/* Workers own equal ranges of pieces. Of those that there are each gets a range without gaps: a stream that breaks off costs
 * what its next start takes. */
static struct run run_of(const struct experts *x, const struct pool_op *op, const struct matrix *w, int piece)
{
    int n_worker = pool_n_worker(x->p->pool), room = op->n_piece / n_worker, n = pieces_of(w),
        each = panels_per_piece(w), share = (x->n_active * n + n_worker - 1) / n_worker,
        at = piece / room * share + piece % room;
    if (piece % room >= share)
        at = x->n_active * n; /* past the last */
    struct run r = {at / n, at % n * each, at % n * each + each};
    r.last = r.last < w->n_panel ? r.last : w->n_panel;
    return r;
}

static void gate_up_piece(const struct pool_op *op, int piece, int worker)
{
    const struct layer_op *a = op->arg;
    struct experts *x = a->x;
    struct pass *p = x->p;
    struct run r = run_of(x, op, &a->moe->expert[0].gate, piece);
    if (r.active >= x->n_active)
        return;
    const struct expert *e = &a->moe->expert[x->active[r.active]];
    struct prepared in = {x->act, x->norm, p->x_stride, 0};
    int first = x->first[r.active], end = first + x->n_slot[r.active];
    float *gate = p->scratch[worker].tile, *up = gate + TILE_TOK * LANES;
    for (int panel = r.first; panel < r.last; panel++)
        for (int t = first; t < end; t += TILE_TOK) {
            int n = end - t < TILE_TOK ? end - t : TILE_TOK;
            matmul_tile(&x->plain, &e->gate, panel, &in, t, n, worker, false, gate, LANES);
            matmul_tile(&x->plain, &e->up, panel, &in, t, n, worker, false, up, LANES);
            p->act_mul(gate, up, gate, n * LANES);
            for (int i = 0; i < n; i++)
                memcpy(x->ff + (t + i) * x->ff_stride + panel * LANES, gate + i * LANES,
                       LANES * sizeof *gate);
        }
}

static void down_piece(const struct pool_op *op, int piece, int worker)
{
    const struct layer_op *a = op->arg;
    struct experts *x = a->x;
    struct run r = run_of(x, op, &a->moe->expert[0].down, piece);
    if (r.active >= x->n_active)
        return;
    const struct matrix *w = &a->moe->expert[x->active[r.active]].down;
    struct prepared in = {x->inner, x->ff, x->ff_stride, 0};
    int first = x->first[r.active], end = first + x->n_slot[r.active];
    for (int panel = r.first; panel < r.last; panel++)
        for (int t = first; t < end; t += TILE_TOK)
            matmul_tile(&x->plain, w, panel, &in, t, end - t < TILE_TOK ? end - t : TILE_TOK, worker, false,
                        x->out + t * x->p->x_stride + panel * LANES, x->p->x_stride);
}

static void combine_piece(const struct pool_op *op, int row, int worker)
{
    const struct layer_op *a = op->arg;
    struct experts *x = a->x;
    struct pass *p = x->p;
    float *to = p->x + row * p->x_stride, *sum = p->scratch[worker].norm;
    int n = p->model->config.n_embd;
    for (int i = 0; i < x->n_used; i++) {
        int64_t at = (int64_t)row * x->n_used + i;
        p->kern->tile_f32(x->out + x->chosen[at] * p->x_stride, 0, LANES, (n + LANES - 1) / LANES, 1,
                          x->weight + at, 1, 1, i > 0, sum, 0);
    }
    for (int k = 0; k < n; k++)
        to[k] += sum[k];
}

void experts_add(struct experts *x, int layer, int n_row)
{
    struct pass *p = x->p;
    struct layer_op *a = &x->layers[layer];
    const struct expert *e = &a->moe->expert[0];
    int pairs = n_row * x->n_used, active = pairs < x->n_expert ? pairs : x->n_expert,
        n_group = (int)(slots_of(x, n_row) / ACT_GROUP), n_worker = pool_n_worker(p->pool);
    x->n_row = n_row;
    matmul_add(p, &a->router, n_row, layer);
    pass_add(p, "route", layer, 1, a, route_piece);
    pass_add(p, "gather", layer, n_group, a, gather_piece);
    int n_gate = (active * pieces_of(&e->gate) + n_worker - 1) / n_worker * n_worker,
        n_down = (active * pieces_of(&e->down) + n_worker - 1) / n_worker * n_worker;
    double ops = 2.0 * e->gate.n_row * e->gate.n_col * pairs;
    a->gate_up = pass_add(p, "experts_gate_up", layer, n_gate, a, gate_up_piece);
    a->gate_up->n_ops = 2 * ops;
    a->gate_up->is_int8 = reads_int8(&e->gate);
    if (reads_int8(&e->down))
        pass_add(p, "quantize", layer, n_group, a, inner_piece);
    a->down = pass_add(p, "experts_down", layer, n_down, a, down_piece);
    a->down->n_ops = ops;
    a->down->is_int8 = reads_int8(&e->down);
    pass_add(p, "combine", layer, n_row, a, combine_piece);
}

struct matmul *experts_router(struct experts *x, int layer)
{
    return &x->layers[layer].router;
}

void experts_show(struct experts *x, pass_tap_fn *tap, void *user)
{
    struct pass *p = x->p;
    int n_embd = p->model->config.n_embd, n_ff = p->model->config.n_ff;
    for (int a = 0; a < x->n_active; a++) {
        int first = x->first[a], n = x->n_slot[a];
        for (int i = 0; i < n; i++) /* what was there is in x by now */
            memcpy(x->out + i * p->x_stride, p->norm + x->row_of[first + i] * p->norm_stride,
                   (size_t)n_embd * sizeof *x->out);
        tap(user, PASS_EXPERT_GATE_UP, x->active[a], x->out, p->x_stride, n, n_embd);
        tap(user, PASS_EXPERT_DOWN, x->active[a], x->ff + first * x->ff_stride, x->ff_stride, n, n_ff);
    }
}
