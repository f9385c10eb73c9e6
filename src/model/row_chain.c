/* Products of many rows.
 *
 * A large batch is cut by rows, not by panels: everything between two attentions (attention output,
 * feed-forward, q, k, v of the next layer) needs nothing of other rows. So a piece takes up to 72 rows through
 * all of it. Its rows stay in the cache of one core, the weights stream past once for each piece, and one
 * barrier is left where there would be four. The inner activation of the feed-forward goes from the tile that
 * makes it straight into the int8 blocks that the next product reads. */
#include <stddef.h>
#include "base/clock.h"
#include "model/pass_impl.h"

bool row_chain_wanted(const struct pass *p, int n_row)
{
    return n_row >= MIN_BLOCK * pool_n_worker(p->pool) && !p->limits.no_fusion && !p->experts;
}

/* Rows of a piece: each worker's share of the rows is cut at whole tiles, so that only its last piece has a
 * rest. The first worker has the last share: it is the one whose rows attention gives it first, since they take longest,
 * and finds in its own cache what it wrote there. */
static void piece_rows(const struct row_chain *c, int piece, int *first, int *last)
{
    int n_worker = pool_n_worker(c->pass->pool), share = n_worker - 1 - piece / c->n_piece,
        i = piece % c->n_piece;
    int n_row = c->mm->n_row, start = n_row * share / n_worker, end = n_row * (share + 1) / n_worker;
    int n_tile = (end - start + TILE_TOK - 1) / TILE_TOK;
    *first = start + n_tile * i / c->n_piece * TILE_TOK;
    *last = start + n_tile * (i + 1) / c->n_piece * TILE_TOK;
    *last = *last < end ? *last : end;
}

/* Whether the feed-forward's inner activation is handed over as int8. */
static bool hands_over(const struct matmul *mm)
{
    return (mm->epilogue == EPI_SILU_MUL || mm->epilogue == EPI_ACT) && mm[1].in.need_int8 &&
           !mm[1].in.need_f32 && !mm[1].in.order;
}

/* silu(gate) * up of two panels, or the activation of one product's, 32 columns: one block of the next product's input. */
static void inner_block(const struct matmul *mm, int block, const struct prepared *in, int t0, int n,
                        int worker)
{
    enum { COLS = 2 * LANES };
    struct pass *p = mm->pass;
    float *gate = p->scratch[worker].tile, *up = gate + TILE_TOK * COLS;
    for (int half = 0; half < 2; half++) {
        matmul_tile(mm, mm->w[0], 2 * block + half, in, t0, n, worker, false, gate + half * LANES, COLS);
        if (mm->n_w == 2)
            matmul_tile(mm, mm->w[1], 2 * block + half, in, t0, n, worker, false, up + half * LANES, COLS);
    }
    if (mm->n_w == 2)
        p->act_mul(gate, up, gate, n * COLS);
    else
        p->act_only(gate, gate, n * COLS);
    int n_block = mm[1].in.n_col / ACT_BLOCK;
    for (int t = 0; t < n; t += ACT_GROUP)
        p->kern->quantize(gate + t * COLS, COLS, n - t < ACT_GROUP ? n - t : ACT_GROUP, COLS,
                          p->scratch[worker].inner + (t0 - in->base + t) / ACT_GROUP * n_block + block);
}

static void product_rows(const struct matmul *mm, const struct prepared *in, int last, int worker)
{
    bool inner = hands_over(mm);
    int n = inner ? mm->n_panel / 2 : mm->n_panel;
    for (int i = 0; i < n; i++)
        for (int t = in->base; t < last; t += TILE_TOK)
            if (inner)
                inner_block(mm, i, in, t, last - t < TILE_TOK ? last - t : TILE_TOK, worker);
            else
                matmul_epilogue_tile(mm, i, in, t, last, worker);
}

static void chain_piece(const struct pool_op *op, int piece, int worker)
{
    const struct row_chain *c = op->arg;
    struct scratch *s = &c->pass->scratch[worker];
    int first, last;
    bool handed = false;
    piece_rows(c, piece, &first, &last);
    for (int i = 0; i < c->n; i++) {
        const struct matmul *mm = &c->mm[i];
        uint64_t start = c->pass->profile ? clock_ns() : 0;
        struct prepared in = handed ? (struct prepared){.act = s->inner, .f32 = mm->in.x, .base = first}
                                    : matmul_own_input(mm, first, last - first, worker, false);
        product_rows(mm, &in, last, worker);
        for (int r = first; matmul_has_end(mm) && r < last; r++)
            matmul_end(mm, r);
        if (mm->put)
            attention_put(mm->put, first, last);
        handed = hands_over(mm);
        if (c->pass->profile)
            s->kind_ns[mm->kind] += clock_ns() - start;
    }
}

void row_chain_add(struct pass *p, struct row_chain *c, int n_row)
{
    int n_worker = pool_n_worker(p->pool), share = (n_row + n_worker - 1) / n_worker;
    c->n_piece = (share + MAX_BLOCK - 1) / MAX_BLOCK;
    for (int i = 0; i < c->n; i++)
        matmul_begin(p, &c->mm[i], n_row);
    pass_add(p, c->n == 1 ? "qkv" : "attn_out .. qkv", c->layer, c->n_piece * n_worker, c, chain_piece);
}

bool row_chain_is(const struct pool_op *op)
{
    return op->run == chain_piece;
}
