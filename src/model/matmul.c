/* Matrix products of a pass.
 *
 * The panels of one to three matrices that read the same input form one operation; a piece is a run of panels that stays in the second-level
 * cache while the batch's tokens go over it in tiles of 12. The input is normalized and quantized once: for up to four rows by every worker for
 * itself, since that costs less than a barrier, for more by an operation of its own. */
#include <assert.h>
#include <string.h>
#include "model/pass_impl.h"

enum { PIECE_BYTES = 96 << 10, PREFETCH_BYTES = 24 << 10 };

static int group_blocks(const struct input *in)
{
    return in->n_col / ACT_BLOCK;
}

/* Rows row .. row+n of the input (n <= 4), normalized into norm_out if there is a norm or somebody reads f32, quantized into act. */
static void prepare_rows(const struct pass *p, const struct input *in, int row, int n, float *norm_out, int64_t norm_stride,
                         struct act_block *act)
{
    const float *x = in->x + row * in->x_stride;
    int64_t stride = in->x_stride;
    if (in->norm) {
        for (int t = 0; t < n; t++)
            p->kern->rmsnorm(x + t * stride, in->norm, in->n_col, p->model->config.rms_eps, norm_out + t * norm_stride);
        x = norm_out;
        stride = norm_stride;
    }
    if (in->need_int8)
        p->kern->quantize(x, stride, n, in->n_col, act);
}

static void prepare_piece(const struct pool_op *op, int piece, int worker)
{
    const struct matmul *mm = op->arg;
    struct pass *p = mm->pass;
    int row = piece * ACT_GROUP, n = mm->n_row - row < ACT_GROUP ? mm->n_row - row : ACT_GROUP;
    prepare_rows(p, &mm->in, row, n, p->norm + row * p->norm_stride, p->norm_stride,
                 p->act + (int64_t)piece * group_blocks(&mm->in));
}

/* The prepared input as this worker sees it. */
struct prepared {
    const struct act_block *act;
    const float *f32;
    int64_t f32_stride;
};

static struct prepared input_of(const struct matmul *mm, int worker)
{
    struct pass *p = mm->pass;
    const struct input *in = &mm->in;
    bool small = mm->n_row <= SMALL_ROWS;
    struct scratch *s = &p->scratch[worker];
    if (small && s->tag != mm->tag) {
        prepare_rows(p, in, 0, mm->n_row, s->norm, p->max_col, s->act);
        s->tag = mm->tag;
    }
    struct prepared out = {small ? s->act : p->act, in->x, in->x_stride};
    if (in->norm) {
        out.f32 = small ? s->norm : p->norm;
        out.f32_stride = small ? p->max_col : p->norm_stride;
    }
    return out;
}

/* y[n][16] of one panel for tokens t0 .. t0+n. */
static void tile(const struct matmul *mm, const struct matrix *w, int panel, const struct prepared *in, int t0, int n,
                 int worker, float *y, int64_t y_stride)
{
    struct pass *p = mm->pass;
    const uint8_t *bytes = w->panels + (size_t)panel * w->panel_bytes;
    int n_block = w->n_col / ACT_BLOCK;
    if (w->dot) {
        w->dot(bytes, n_block, in->act + (int64_t)(t0 / ACT_GROUP) * n_block, n_block, n, y, y_stride);
    } else {
        float *unpacked = p->scratch[worker].unpacked;
        for (int k = 0; k < w->n_col; k += UNPACK_K) {
            int n_k = w->n_col - k < UNPACK_K ? w->n_col - k : UNPACK_K;
            w->unpack(bytes, k, n_k, unpacked);
            p->kern->tile_f32(unpacked, LANES, 0, 1, n_k, in->f32 + t0 * in->f32_stride + k, in->f32_stride, n, k > 0, y, y_stride);
        }
    }
    if (w->bias)
        for (int t = 0; t < n; t++)
            for (int r = 0; r < LANES; r++)
                y[t * y_stride + r] += w->bias[panel * LANES + r];
}

static void silu_mul_tile(const struct matmul *mm, int panel, const struct prepared *in, int t0, int n, int worker)
{
    struct pass *p = mm->pass;
    float *gate = p->scratch[worker].tile, *up = gate + TILE_TOK * LANES;
    tile(mm, mm->w[0], panel, in, t0, n, worker, gate, LANES);
    tile(mm, mm->w[1], panel, in, t0, n, worker, up, LANES);
    p->kern->silu_mul(gate, up, gate, n * LANES);
    for (int t = 0; t < n; t++)
        memcpy(mm->y[0] + (t0 + t) * mm->y_stride[0] + panel * LANES, gate + t * LANES, LANES * sizeof *gate);
}

static void add_tile(const struct matmul *mm, int panel, const struct prepared *in, int t0, int n, int worker)
{
    float *sum = mm->pass->scratch[worker].tile;
    tile(mm, mm->w[0], panel, in, t0, n, worker, sum, LANES);
    for (int t = 0; t < n; t++) {
        float *y = mm->y[0] + (t0 + t) * mm->y_stride[0] + panel * LANES;
        for (int r = 0; r < LANES; r++)
            y[r] += sum[t * LANES + r];
    }
}

static void store_tile(const struct matmul *mm, int panel, const struct prepared *in, int t0, int n, int worker)
{
    int i = 0;
    for (; panel >= mm->w[i]->n_panel; i++)
        panel -= mm->w[i]->n_panel;
    tile(mm, mm->w[i], panel, in, t0, n, worker, mm->y[i] + t0 * mm->y_stride[i] + panel * LANES, mm->y_stride[i]);
}

static void matmul_piece(const struct pool_op *op, int piece, int worker)
{
    const struct matmul *mm = op->arg;
    struct prepared in = input_of(mm, worker);
    int first = piece * mm->panels_per_piece, last = first + mm->panels_per_piece;
    last = last < mm->n_panel ? last : mm->n_panel;
    for (int t = 0; t < mm->n_row; t += TILE_TOK) {
        int n = mm->n_row - t < TILE_TOK ? mm->n_row - t : TILE_TOK;
        for (int panel = first; panel < last; panel++) {
            if (mm->epilogue == EPI_SILU_MUL)
                silu_mul_tile(mm, panel, &in, t, n, worker);
            else if (mm->epilogue == EPI_ADD)
                add_tile(mm, panel, &in, t, n, worker);
            else
                store_tile(mm, panel, &in, t, n, worker);
        }
    }
}

static void matmul_prefetch(const struct pool_op *op, int piece, int worker)
{
    const struct matmul *mm = op->arg;
    int panel = piece * mm->panels_per_piece, i = 0;
    if (mm->epilogue != EPI_SILU_MUL)
        for (; panel >= mm->w[i]->n_panel; i++)
            panel -= mm->w[i]->n_panel;
    const uint8_t *bytes = mm->w[i]->panels + (size_t)panel * mm->w[i]->panel_bytes;
    for (int at = 0; at < PREFETCH_BYTES; at += 64)
        __builtin_prefetch(bytes + at, 0, 2);
}

void matmul_add(struct pass *p, struct matmul *mm, const char *name, int layer)
{
    bool pair = mm->epilogue == EPI_SILU_MUL;
    double weight_bytes = 0, n_ops = 0;
    mm->tag = ++p->next_tag;
    mm->n_panel = pair ? mm->w[0]->n_panel : 0;
    for (int i = 0; i < mm->n_w; i++) {
        if (!pair)
            mm->n_panel += mm->w[i]->n_panel;
        weight_bytes += (double)mm->w[i]->n_panel * (double)mm->w[i]->panel_bytes;
        n_ops += 2.0 * mm->w[i]->n_row * mm->w[i]->n_col * mm->n_row;
    }
    if (mm->n_row > SMALL_ROWS && (mm->in.norm || mm->in.need_int8))
        pass_add(p, mm->in.norm ? "norm+quantize" : "quantize", layer, (mm->n_row + ACT_GROUP - 1) / ACT_GROUP, mm,
                 prepare_piece);
    int n_worker = pool_n_worker(p->pool);
    int n_piece = (int)(weight_bytes / PIECE_BYTES / n_worker + 0.5) * n_worker;
    n_piece = n_piece < n_worker ? n_worker : n_piece;
    mm->panels_per_piece = (mm->n_panel + n_piece - 1) / n_piece;
    n_piece = (mm->n_panel + mm->panels_per_piece - 1) / mm->panels_per_piece;
    struct pool_op *op = pass_add(p, name, layer, n_piece, mm, matmul_piece);
    op->prefetch = matmul_prefetch;
    op->bytes = weight_bytes;
    op->n_ops = n_ops;
    op->is_int8 = mm->in.need_int8;
}
