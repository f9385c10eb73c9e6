/* Layer by layer: the products of one layer with a look at what each reads in between. For whoever changes a model's weights and
 * has to know what they are multiplied with; a pass for answers is pass.c. */
#include <assert.h>
#include <string.h>
#include "model/pass_impl.h"

static void run_ops(struct pass *p)
{
    pool_run(p->pool, p->ops, p->n_op);
    pool_settle(p->pool);
    p->n_op = 0;
}

float *pass_rows(struct pass *p, int64_t *stride)
{
    *stride = p->x_stride;
    return p->x;
}

void pass_embed(struct pass *p, const struct pass_batch *b)
{
    p->batch = b;
    p->n_op = 0;
    attention_plan(p);
    pass_add(p, "embed", -1, b->n_row, p, pass_embed_piece);
    run_ops(p);
}

static void norm_row(const struct pool_op *op, int row, int worker)
{
    const struct matmul *mm = op->arg;
    struct pass *p = mm->pass;
    p->kern->rmsnorm(mm->in.x + row * mm->in.x_stride, mm->in.norm, mm->in.n_col, p->model->config.norm_eps,
                     p->norm + row * p->norm_stride);
}

/* Shows what the product is going to read. */
static void show(struct pass *p, struct matmul *mm, enum pass_product product, pass_tap_fn *tap, void *user)
{
    int n_row = p->batch->n_row;
    if (!tap)
        return;
    if (!mm->in.norm) {
        tap(user, product, -1, mm->in.x, mm->in.x_stride, n_row, mm->in.n_col);
        return;
    }
    pass_add(p, "norm", -1, n_row, mm, norm_row);
    run_ops(p);
    tap(user, product, -1, p->norm, p->norm_stride, n_row, mm->in.n_col);
}

static void product(struct pass *p, int layer, enum matmul_kind kind, enum pass_product as, pass_tap_fn *tap,
                    void *user)
{
    struct matmul *mm = &p->mm[layer * MM_PER_LAYER + (int)kind];
    show(p, mm, as, tap, user);
    matmul_add(p, mm, p->batch->n_row, layer);
    if (kind == MM_QKV)
        attention_add(p, &p->attn[layer], false);
    run_ops(p);
}

void pass_layer(struct pass *p, const struct pass_batch *b, int layer, pass_tap_fn *tap, void *user)
{
    assert(b->n_row <= p->limits.n_row && b->n_seq <= p->limits.n_seq && !p->limits.no_fusion);
    p->batch = b;
    p->n_op = 0;
    attention_plan(p);
    pass_fill_rope(p);
    product(p, layer, MM_QKV, PASS_QKV, tap, user);
    product(p, layer, MM_O, PASS_O, tap, user);
    if (!p->model->layers[layer].moe) {
        product(p, layer, MM_GATE_UP, PASS_GATE_UP, tap, user);
        product(p, layer, MM_DOWN, PASS_DOWN, tap, user);
        return;
    }
    show(p, experts_router(p->experts, layer), PASS_GATE_UP, tap, user);
    experts_add(p->experts, layer, b->n_row);
    run_ops(p);
    if (tap)
        experts_show(p->experts, tap, user);
}
