/* Matrix products of a pass.
 *
 * One to three matrices that read the same input form one operation. How it is cut into pieces depends on the
 * batch:
 *
 *   few rows    a piece is a run of panels; every worker normalizes and quantizes the whole input for itself,
 *               which costs less than a barrier
 *   some rows   a piece is a run of panels that stays in the second-level cache while the rows go over it in
 *               tiles of 12; the input is prepared by an operation of its own
 *   many rows   see row_chain.c
 */
#include <assert.h>
#include <string.h>
#include "model/pass_impl.h"

static int group_blocks(const struct input *in)
{
    return in->n_col / ACT_BLOCK;
}

/* Rows row .. row+n of the input (n <= 4): normalized into `norm` if there is a norm, quantized into act if
 * somebody reads int8. */
static void prepare_rows(const struct pass *p, const struct input *in, int row, int n, float *norm,
                         int64_t norm_stride, struct act_block *act)
{
    const float *x = in->x + row * in->x_stride;
    int64_t stride = in->x_stride;
    if (in->order) {
        for (int t = 0; t < n; t++)
            for (int k = 0; k < in->n_col; k++)
                norm[t * norm_stride + k] = x[t * stride + in->order[k]];
        x = norm;
        stride = norm_stride;
    }
    if (in->norm) {
        for (int t = 0; t < n; t++)
            p->kern->rmsnorm(x + t * stride, in->norm, in->n_col, p->model->config.norm_eps,
                             norm + t * norm_stride);
        x = norm;
        stride = norm_stride;
    }
    if (in->need_int8)
        p->kern->quantize(x, stride, n, in->n_col, act);
}

/* The same for an input in two planes: slot 2i is row i as int8, slot 2i+1 what its rounding lost, again as
 * int8. */
static void prepare_planes(const struct pass *p, const struct input *in, int slot, int n, float *norm,
                           int64_t norm_stride, struct act_block *act)
{
    for (int t = 0; t < n; t += 2) {
        float *row = norm + t * norm_stride, *rest = row + norm_stride;
        prepare_rows(p, in, (slot + t) / 2, 1, row, norm_stride, act);
        for (int k = 0; k < in->n_col; k++) {
            const struct act_block *b = &act[k / ACT_BLOCK];
            rest[k] = __builtin_fmaf(-b->d[0], b->q[k % ACT_BLOCK / 4][0][k % 4], row[k]);
        }
    }
    p->kern->quantize(norm, norm_stride, n, in->n_col, act);
}

/* Prepares rows row .. row+n (groups of 4 from `row` on). The f32 copy is kept only where somebody reads it. */
static void prepare(const struct pass *p, const struct input *in, int row, int n, float *norm,
                    int64_t norm_stride, struct act_block *act)
{
    for (int t = 0; t < n; t += ACT_GROUP) {
        int m = n - t < ACT_GROUP ? n - t : ACT_GROUP;
        float *to = in->need_f32 ? norm + t * norm_stride : norm;
        struct act_block *group = act + (int64_t)(t / ACT_GROUP) * group_blocks(in);
        (in->planes ? prepare_planes : prepare_rows)(p, in, row + t, m, to, norm_stride, group);
    }
}

/* The rows of token group `piece` as all workers share them: with norm, with integers, or both at once. */
static void prepare_shared(const struct matmul *mm, int piece, int worker, const struct input *in)
{
    struct pass *p = mm->pass;
    int row = piece * ACT_GROUP, n = mm->n_row - row < ACT_GROUP ? mm->n_row - row : ACT_GROUP;
    bool kept = in->need_f32 || !in->need_int8;
    float *norm = kept ? p->norm + row * p->norm_stride : p->scratch[worker].norm;
    prepare(p, in, row, n, norm, p->norm_stride, p->act + (int64_t)piece * group_blocks(in));
}

static void prepare_piece(const struct pool_op *op, int piece, int worker)
{
    const struct matmul *mm = op->arg;
    prepare_shared(mm, piece, worker, &mm->in);
}

static void norm_piece(const struct pool_op *op, int piece, int worker)
{
    const struct matmul *mm = op->arg;
    struct input only_norm = mm->in;
    only_norm.need_int8 = false;
    only_norm.need_f32 = true;
    prepare_shared(mm, piece, worker, &only_norm);
}

static void quantize_piece(const struct pool_op *op, int piece, int worker)
{
    const struct matmul *mm = op->arg;
    struct input normed = mm->in;
    normed.norm = NULL;
    normed.order = NULL;
    normed.x = mm->pass->norm;
    normed.x_stride = mm->pass->norm_stride;
    prepare_shared(mm, piece, worker, &normed);
}

struct prepared matmul_own_input(const struct matmul *mm, int row, int n, int worker, bool is_there)
{
    const struct pass *p = mm->pass;
    const struct scratch *s = &p->scratch[worker];
    const struct input *in = &mm->in;
    if (!is_there)
        prepare(p, in, row, n, s->norm, p->max_col, s->act);
    if (in->norm || in->order)
        return (struct prepared){s->act, s->norm, p->max_col, row};
    return (struct prepared){s->act, in->x + row * in->x_stride, in->x_stride, row};
}

struct prepared matmul_input(const struct matmul *mm, int worker)
{
    const struct pass *p = mm->pass;
    const struct input *in = &mm->in;
    uint64_t *tag = &p->scratch[worker].tag;
    if (mm->own_input) {
        bool is_there = *tag == mm->tag;
        *tag = mm->tag;
        return matmul_own_input(mm, 0, mm->n_row, worker, is_there);
    }
    if (in->norm || in->order)
        return (struct prepared){p->act, p->norm, p->norm_stride, 0};
    return (struct prepared){p->act, in->x, in->x_stride, 0};
}

void matmul_tile(const struct matmul *mm, const struct matrix *w, int panel, const struct prepared *in,
                 int t0, int n, int worker, bool add, float *y, int64_t y_stride)
{
    struct pass *p = mm->pass;
    const uint8_t *bytes = w->panels + (size_t)panel * w->panel_stride;
    int n_block = w->n_col / ACT_BLOCK;
    const float *x = in->f32 + (t0 - in->base) * in->f32_stride;
    if (w->dot && w->bias && !add && !mm->in.planes) { /* what is there is added last: the same sum */
        p->kern->bias(w->bias + panel * LANES, n, false, y, y_stride);
        w->dot(bytes, n_block, in->act + (int64_t)((t0 - in->base) / ACT_GROUP) * n_block, n_block, n, true,
               y, y_stride);
        return;
    }
    if (w->dot) {
        const struct act_block *act = in->act + (int64_t)((t0 - in->base) / ACT_GROUP) * n_block;
        (n <= KERN_FEW_TOK ? w->dot_few : w->dot)(bytes, n_block, act, n_block, n, add, y, y_stride);
    } else if (w->tile) {
        w->tile(bytes, LANES, 0, 1, w->n_col, x, in->f32_stride, n, false, y, y_stride);
    } else {
        float *unpacked = p->scratch[worker].unpacked;
        for (int k = 0; k < w->n_col; k += UNPACK_K) {
            int n_k = w->n_col - k < UNPACK_K ? w->n_col - k : UNPACK_K;
            w->unpack(bytes, k, n_k, unpacked);
            p->kern->tile_f32(unpacked, LANES, 0, 1, n_k, x + k, in->f32_stride, n, k > 0, y, y_stride);
        }
    }
    if (w->bias && !add)
        p->kern->bias(w->bias + panel * LANES, mm->in.planes ? (n + 1) / 2 : n, true, y,
                      mm->in.planes ? 2 * y_stride : y_stride);
}

static void silu_mul_tile(const struct matmul *mm, int panel, const struct prepared *in, int t0, int n,
                          int worker)
{
    struct pass *p = mm->pass;
    float *gate = p->scratch[worker].tile, *up = gate + TILE_TOK * LANES;
    matmul_tile(mm, mm->w[0], panel, in, t0, n, worker, false, gate, LANES);
    matmul_tile(mm, mm->w[1], panel, in, t0, n, worker, false, up, LANES);
    p->act_mul(gate, up, gate, n * LANES);
    for (int t = 0; t < n; t++)
        memcpy(mm->y[0] + (t0 + t) * mm->y_stride[0] + panel * LANES, gate + t * LANES, LANES * sizeof *gate);
}

static void act_tile(const struct matmul *mm, int panel, const struct prepared *in, int t0, int n, int worker)
{
    float *sum = mm->pass->scratch[worker].tile;
    matmul_tile(mm, mm->w[0], panel, in, t0, n, worker, false, sum, LANES);
    mm->pass->act_only(sum, sum, n * LANES);
    for (int t = 0; t < n; t++)
        memcpy(mm->y[0] + (t0 + t) * mm->y_stride[0] + panel * LANES, sum + t * LANES, LANES * sizeof *sum);
}

static void add_tile(const struct matmul *mm, int panel, const struct prepared *in, int t0, int n, int worker)
{
    const struct matrix *w = mm->w[0];
    if (w->dot && (!w->bias || mm->end_norm)) {
        float *y = mm->y[0] + t0 * mm->y_stride[0] + panel * LANES;
        if (w->bias)
            mm->pass->kern->bias(w->bias + panel * LANES, n, true, y, mm->y_stride[0]);
        matmul_tile(mm, w, panel, in, t0, n, worker, true, y, mm->y_stride[0]);
        return;
    }
    float *sum = mm->pass->scratch[worker].tile;
    matmul_tile(mm, w, panel, in, t0, n, worker, false, sum, LANES);
    for (int t = 0; t < n; t++) {
        float *y = mm->y[0] + (t0 + t) * mm->y_stride[0] + panel * LANES;
        for (int r = 0; r < LANES; r++)
            y[r] += sum[t * LANES + r];
    }
}

/* Two planes of a row are summed. */
static void planes_tile(const struct matmul *mm, int panel, const struct prepared *in, int t0, int n,
                        int worker)
{
    float *both = mm->pass->scratch[worker].tile;
    matmul_tile(mm, mm->w[0], panel, in, t0, n, worker, false, both, LANES);
    for (int t = 0; t < n; t += 2) {
        float *y = mm->y[0] + (t0 + t) / 2 * mm->y_stride[0] + panel * LANES;
        for (int r = 0; r < LANES; r++)
            y[r] = both[t * LANES + r] + both[(t + 1) * LANES + r];
    }
}

static void store_tile(const struct matmul *mm, int panel, const struct prepared *in, int t0, int n,
                       int worker)
{
    int i = 0;
    for (; panel >= mm->w[i]->n_panel; i++)
        panel -= mm->w[i]->n_panel;
    float *y = mm->y[i] + t0 * mm->y_stride[i] + panel * LANES;
    matmul_tile(mm, mm->w[i], panel, in, t0, n, worker, false, y, mm->y_stride[i]);
}

void matmul_epilogue_tile(const struct matmul *mm, int panel, const struct prepared *in, int t, int end,
                          int worker)
{
    static void (*const epilogues[])(const struct matmul *, int, const struct prepared *, int, int,
                                     int) = {[EPI_STORE] = store_tile,
                                             [EPI_ADD] = add_tile,
                                             [EPI_SILU_MUL] = silu_mul_tile,
                                             [EPI_ACT] = act_tile,
                                             [EPI_PLANES] = planes_tile};
    int n = end - t < TILE_TOK ? end - t : TILE_TOK, n_slot = mm->in.planes ? 2 : 1;
    epilogues[mm->epilogue](mm, panel, in, t, n, worker);
    for (int i = 0; mm->softcap > 0 && i < n; i += n_slot) /* of the output head, which is one matrix */
        mm->pass->kern->softcap(mm->y[0] + (t + i) / n_slot * mm->y_stride[0] + panel * LANES, LANES,
                                mm->softcap);
}

bool matmul_has_end(const struct matmul *mm)
{
    return mm->post_norm || mm->end_norm;
}

void matmul_end(const struct matmul *mm, int row)
{
    const struct pass *p = mm->pass;
    if (mm->end_norm) {
        float *x = mm->y[0] + row * mm->y_stride[0];
        p->kern->layernorm(x, mm->end_norm, mm->end_bias, mm->w[0]->n_row, p->model->config.norm_eps, x);
        return;
    }
    float *post = p->post + row * p->x_stride, *x = p->x + row * p->x_stride;
    int n = p->model->config.n_embd;
    p->kern->rmsnorm(post, mm->post_norm, n, p->model->config.norm_eps, post);
    for (int i = 0; i < n; i++)
        x[i] += post[i];
}

static void end_piece(const struct pool_op *op, int piece, int worker)
{
    matmul_end(op->arg, piece);
}

static void panels_piece(const struct pool_op *op, int piece, int worker)
{
    const struct matmul *mm = op->arg;
    struct prepared in = matmul_input(mm, worker);
    int first = piece * mm->panels_per_piece, last = first + mm->panels_per_piece;
    last = last < mm->n_panel ? last : mm->n_panel;
    for (int t = 0; t < mm->n_row; t += TILE_TOK)
        for (int panel = first; panel < last; panel++)
            matmul_epilogue_tile(mm, panel, &in, t, mm->n_row, worker);
}

/* Adds the operations that prepare an input for all workers. */
static void add_preparation(struct pass *p, struct matmul *mm, int layer)
{
    int n_piece = (mm->n_row + ACT_GROUP - 1) / ACT_GROUP;
    bool apart = p->limits.no_fusion && mm->in.norm && mm->in.need_int8 && !mm->in.planes;
    if (apart) {
        pass_add(p, "norm", layer, n_piece, mm, norm_piece);
        pass_add(p, "quantize", layer, n_piece, mm, quantize_piece);
    } else if (mm->in.norm || mm->in.order || mm->in.need_int8) {
        pass_add(p, mm->in.norm ? "norm+quantize" : "quantize", layer, n_piece, mm, prepare_piece);
    }
}

double matmul_weight_bytes(const struct matmul *mm)
{
    double sum = 0;
    for (int i = 0; i < mm->n_w; i++)
        sum += (double)matrix_bytes(mm->w[i]);
    return sum;
}

double matmul_ops(const struct matmul *mm)
{
    double sum = 0;
    for (int i = 0; i < mm->n_w; i++)
        sum += 2.0 * mm->w[i]->n_row * mm->w[i]->n_col * mm->n_row;
    return sum;
}

/* Cuts the product into pieces; returns how many. */
static int cut(const struct pass *p, struct matmul *mm)
{
    int n_worker = pool_n_worker(p->pool);
    int n_piece = (int)(matmul_weight_bytes(mm) / PIECE_BYTES / n_worker + 0.5) * n_worker;
    n_piece = n_piece < n_worker ? n_worker : n_piece;
    mm->panels_per_piece = (mm->n_panel + n_piece - 1) / n_piece;
    return (mm->n_panel + mm->panels_per_piece - 1) / mm->panels_per_piece;
}

void matmul_needs(struct matmul *mm)
{
    mm->in.need_int8 = mm->in.need_f32 = false;
    for (int i = 0; i < mm->n_w; i++) {
        mm->in.need_int8 |= mm->w[i]->dot != NULL;
        mm->in.need_f32 |= mm->w[i]->dot == NULL;
    }
}

void matmul_begin(struct pass *p, struct matmul *mm, int n_row)
{
    mm->n_row = n_row;
    mm->tag = ++p->next_tag;
    mm->n_panel = mm->w[0]->n_panel;
    for (int i = 1; i < mm->n_w && mm->epilogue != EPI_SILU_MUL; i++)
        mm->n_panel += mm->w[i]->n_panel;
}

void matmul_add(struct pass *p, struct matmul *mm, int n_row, int layer)
{
    matmul_begin(p, mm, n_row);
    int n_piece = cut(p, mm);
    mm->own_input = n_row <= SMALL_ROWS && !p->limits.no_fusion;
    if (!mm->own_input)
        add_preparation(p, mm, layer);
    struct pool_op *op = pass_add(p, mm->name, layer, n_piece, mm, panels_piece);
    op->bytes = matmul_weight_bytes(mm);
    op->n_ops = matmul_ops(mm);
    op->is_int8 = mm->in.need_int8;
    if (matmul_has_end(mm))
        pass_add(p, "post norm", layer, n_row, mm, end_piece);
}
