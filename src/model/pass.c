/* One pass over the weights for a batch: buffers, the program of operations.
 *
 * A layer is five operations with a barrier each (plus the preparation of inputs for larger batches):
 *
 *     q,k,v = W norm(x)
 *     rotate, write KV, attend
 *     x += Wo att
 *     ff = silu(gate) * up of norm(x)
 *     x += Wdown ff
 *
 * A large batch has two: attention, and the rest as a chain (row_chain.c).
 *
 * The program is built anew for each batch from descriptions made once; nothing is allocated. */
#include "model/pass.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "kern/scalar.h"
#include "model/disk_stream.h"
#include "model/pass_impl.h"

enum { OPS_PER_LAYER = 24 };

struct pool_op *pass_add(struct pass *p, const char *name, int layer, int n_piece, const void *arg,
                         void (*run)(const struct pool_op *, int, int))
{
    assert(p->n_op < p->cap_op);
    struct pool_op *op = &p->ops[p->n_op++];
    *op = (struct pool_op){.run = run, .arg = arg, .n_piece = n_piece, .name = name, .layer = layer};
    return op;
}

/* ---- building ---- */

int pass_take(struct pass *p, size_t n, size_t size, const char *what, void **out, struct lathe_err *err)
{
    p->buffer_bytes += (uint64_t)n * size;
    return p->is_count ? 0 : mem_try(n, size, what, out, err);
}

/* The input of the product is read in the order of its matrices' columns; norms are in that order too. */
static void put_order(struct pass *p, struct matmul *mm)
{
    const int32_t *order = mm->w[0]->order;
    const int n = mm->in.n_col;
    mm->in.order = order;
    if (!order || !mm->in.norm)
        return;
    float *norm = arena_alloc(&p->arena, (size_t)(n + LANES) * sizeof *norm);
    for (int k = 0; k < n; k++)
        norm[k] = mm->in.norm[order[k]];
    mm->in.norm = norm;
}

static bool has_orders(const struct lathe_model *m)
{
    bool any = false;
    for (int i = 0; i < m->config.n_layer; i++) {
        const struct model_layer *y = &m->layers[i];
        any |= y->q.order || y->o.order || y->gate.order || y->down.order;
    }
    return any;
}

void pass_layer_changed(struct pass *p, int i)
{
    static const char *const names[MM_PER_LAYER] = {"qkv", "attn_out", "ffn_gate_up", "ffn_down"};
    const struct model_layer *y = &p->model->layers[i];
    const struct model_config *c = &p->model->config;
    struct matmul *mm = p->mm + i * MM_PER_LAYER;
    mm[MM_QKV] =
        (struct matmul){.in = {.x = p->x, .x_stride = p->x_stride, .norm = y->attn_norm, .n_col = c->n_embd},
                        .w = {&y->q, &y->k, &y->v},
                        .y = {p->qkv, p->qkv + p->k_at, p->qkv + p->v_at},
                        .y_stride = {p->qkv_stride, p->qkv_stride, p->qkv_stride},
                        .n_w = 3};
    mm[MM_O] = (struct matmul){
        .in = {.x = p->att, .x_stride = p->att_stride, .norm = NULL, .n_col = c->n_head * c->head_dim},
        .w = {&y->o},
        .y = {p->x},
        .y_stride = {p->x_stride},
        .n_w = 1,
        .epilogue = EPI_ADD};
    mm[MM_GATE_UP] =
        (struct matmul){.in = {.x = p->x, .x_stride = p->x_stride, .norm = y->ffn_norm, .n_col = c->n_embd},
                        .w = {&y->gate, &y->up},
                        .y = {p->ff},
                        .y_stride = {p->ff_stride},
                        .n_w = 2,
                        .epilogue = EPI_SILU_MUL};
    mm[MM_DOWN] =
        (struct matmul){.in = {.x = p->ff, .x_stride = p->ff_stride, .norm = NULL, .n_col = c->n_ff},
                        .w = {&y->down},
                        .y = {p->x},
                        .y_stride = {p->x_stride},
                        .n_w = 1,
                        .epilogue = EPI_ADD};
    mm[MM_QKV].put = &p->attn[i];
    for (int j = 0; j < MM_PER_LAYER; j++) {
        mm[j].pass = p;
        mm[j].kind = (enum matmul_kind)j;
        mm[j].name = names[j];
        matmul_needs(&mm[j]);
    }
    if (c->encoder) {
        mm[MM_GATE_UP].w[0] = &y->up;
        mm[MM_GATE_UP].w[1] = NULL;
        mm[MM_GATE_UP].n_w = 1;
        mm[MM_GATE_UP].epilogue = EPI_ACT;
        mm[MM_GATE_UP].name = "ffn_up";
        matmul_needs(&mm[MM_GATE_UP]);
    }
    if (p->limits.no_fusion) { /* gate and up apart, joined by an operation of its own */
        mm[MM_GATE_UP].epilogue = EPI_STORE;
        mm[MM_GATE_UP].y[1] = p->up;
        mm[MM_GATE_UP].y_stride[1] = p->ff_stride;
    }
    for (int j = 0; j < MM_PER_LAYER; j++)
        if (mm[j].w[0]->n_row)
            put_order(p, &mm[j]);
    mm[MM_O].end_norm = y->attn_end_norm;
    mm[MM_O].end_bias = y->attn_end_bias;
    mm[MM_DOWN].end_norm = y->ffn_end_norm;
    mm[MM_DOWN].end_bias = y->ffn_end_bias;
    const float *post[MM_PER_LAYER] = {[MM_O] = y->attn_post_norm, [MM_DOWN] = y->ffn_post_norm};
    for (int j = 0; j < MM_PER_LAYER; j++)
        if (post[j]) {
            mm[j].post_norm = post[j];
            mm[j].epilogue = EPI_STORE;
            mm[j].y[0] = p->post;
        }
    p->attn[i] = (struct attention){.pass = p, .layer = i};
    p->chains[i + 1] =
        (struct row_chain){p, mm + MM_O, i + 1 < c->n_layer ? MM_PER_LAYER : MM_PER_LAYER - 1, i, 0};
}

/* A product of output rows x alone, its input in two planes where it reads int8. */
static void describe_head(struct pass *p, enum head_kind kind, const struct matrix *w, const float *x,
                          float *y, int64_t y_stride)
{
    struct matmul *head = &p->mm[p->model->config.n_layer * MM_PER_LAYER + (int)kind];
    *head = (struct matmul){.pass = p,
                            .in = {.x = x, .x_stride = p->x_stride, .n_col = p->model->config.n_embd},
                            .w = {w},
                            .y = {y},
                            .y_stride = {y_stride},
                            .n_w = 1,
                            .name = "output"};
    matmul_needs(head);
    if (head->in.need_int8) {
        head->in.planes = true;
        head->epilogue = EPI_PLANES;
    }
}

static void describe_heads(struct pass *p)
{
    const struct lathe_model *m = p->model;
    struct matmul *first = &p->mm[m->config.n_layer * MM_PER_LAYER];
    if (m->head) {
        describe_head(p, HEAD_LOGITS, m->head, p->out_x, p->logits, p->logits_stride);
        first[HEAD_LOGITS].in.norm = m->output_norm;
        first[HEAD_LOGITS].softcap = m->config.logit_softcap;
    } else if (m->config.n_class) {
        describe_head(p, HEAD_POOLER, &m->pooler, p->out_x, p->pooled, p->x_stride);
        describe_head(p, HEAD_CLASSES, &m->classifier, p->pooled, p->logits, p->logits_stride);
        first[HEAD_POOLER].softcap = 1; /* tanh */
    }
}

/* By the gated form, of a gate x and 1. */
static void gelu_tanh(const float *x, float *y, int n)
{
    enum { N = 192 };
    float ones[N];
    for (int i = 0; i < N; i++)
        ones[i] = 1;
    for (int i = 0; i < n; i += N)
        kern_set()->gelu_mul(x + i, ones, y + i, n - i < N ? n - i : N);
}

static int make_scratch(struct pass *p, struct lathe_err *err)
{
    const struct model_config *c = &p->model->config;
    int n_worker = p->n_worker, group = c->n_head / c->n_head_kv;
    int rows = p->limits.n_row < QUERY_ROWS ? p->limits.n_row : QUERY_ROWS;
    p->n_vec = rows * group;
    int64_t vd = p->form.value_dim, hd = p->form.head_dim, n_vec = p->n_vec;
    TAKE(p, n_worker, p->scratch, "worker scratch");
    for (int i = 0; i < n_worker; i++) {
        struct scratch none = {0}, *s = p->is_count ? &none : &p->scratch[i];
        TAKE(p, (p->any_f32 ? MAX_BLOCK : SMALL_ROWS) * p->max_col, s->norm, "worker scratch");
        TAKE(p, MAX_BLOCK / ACT_GROUP * (p->max_col / ACT_BLOCK + 1), s->act, "worker scratch");
        TAKE(p, MAX_BLOCK / ACT_GROUP * (c->n_ff / ACT_BLOCK + 1), s->inner, "worker scratch");
        TAKE(p, 4 * TILE_TOK * LANES, s->tile, "worker scratch");
        TAKE(p, UNPACK_K * LANES, s->unpacked, "worker scratch");
        TAKE(p, n_vec * hd, s->query, "worker scratch");
        TAKE(p, TILE_TOK * SPAN, s->score, "worker scratch");
        TAKE(p, n_vec * vd, s->run_out, "worker scratch");
        TAKE(p, TILE_TOK * vd, s->span_out, "worker scratch");
        TAKE(p, n_vec, s->run_max, "worker scratch");
        TAKE(p, n_vec, s->run_sum, "worker scratch");
    }
    return 0;
}

static int make_buffers(struct pass *p, struct lathe_err *err)
{
    const struct model_config *c = &p->model->config;
    int64_t n = p->limits.n_row, q_dim = (int64_t)c->n_head * c->head_dim,
            kv_dim = (int64_t)c->n_head_kv * c->head_dim;
    p->x_stride = pass_pad(c->n_embd);
    p->k_at = pass_pad(q_dim);
    p->v_at = p->k_at + pass_pad(kv_dim);
    p->qkv_stride = p->v_at + pass_pad(kv_dim);
    p->att_stride = pass_pad(q_dim);
    p->ff_stride = pass_pad(c->n_ff);
    p->max_col = (int)pass_pad(c->n_ff > c->n_embd ? c->n_ff : c->n_embd);
    p->max_col = q_dim > p->max_col ? (int)pass_pad(q_dim) : p->max_col;
    p->norm_stride = has_orders(p->model) ? p->max_col : p->x_stride;
    p->logits_stride = pass_pad(c->encoder ? c->n_class : c->n_vocab);
    TAKE(p, n * p->x_stride, p->x, "activations");
    TAKE(p, n * p->qkv_stride, p->qkv, "activations");
    TAKE(p, n * p->att_stride, p->att, "activations");
    TAKE(p, n * p->ff_stride, p->ff, "activations");
    int64_t n_slot = n > 2 * p->limits.n_out ? n : 2 * p->limits.n_out;
    if (p->limits.no_fusion)
        TAKE(p, n * p->ff_stride, p->up, "activations");
    TAKE(p, n_slot * p->norm_stride, p->norm, "activations");
    TAKE(p, (n_slot + ACT_GROUP) / ACT_GROUP * (p->max_col / ACT_BLOCK + 1), p->act, "activations");
    for (int i = 0; i < N_ROPE_SET; i++)
        if (p->model->rope_freq[i])
            TAKE(p, (int64_t)p->limits.n_ctx * c->n_rot, p->rope[i], "rotary table");
    if (p->model->layers[0].attn_post_norm)
        TAKE(p, n * p->x_stride, p->post, "activations");
    TAKE(p, p->limits.n_out * p->x_stride, p->out_x, "logits");
    TAKE(p, p->limits.n_out * p->logits_stride, p->logits, "logits");
    if (c->n_class)
        TAKE(p, p->limits.n_out * p->x_stride, p->pooled, "logits");
    TAKE(p, n + p->limits.n_seq, p->pieces, "batch");
    int64_t n_pair = (int64_t)PARTS_PER_WORKER * p->n_worker, spans = (p->limits.n_ctx + SPAN - 1) / SPAN;
    int64_t one_row = (n_pair < c->n_head_kv ? n_pair : c->n_head_kv) * (c->n_head / c->n_head_kv) *
                      (p->form.value_dim + 2);
    p->n_partial =
        one_row *
        (spans > SMALL_ROWS * PARTS_SPANS ? spans : SMALL_ROWS * (spans < PARTS_SPANS ? spans : PARTS_SPANS));
    TAKE(p, p->n_partial, p->partials, "attention partials");
    TAKE(p, n_pair, p->spans_done, "attention partials");
    TAKE(p, p->limits.n_seq, p->narrow_seqs, "batch");
    TAKE(p, n, p->row_pos, "batch");
    TAKE(p, n, p->row_seq, "batch");
    TRY(kv_take(p, err));
    TRY(experts_new(p, &p->experts, err));
    return make_scratch(p, err);
}

/* Whether any matrix reads f32 activations. */
static bool has_f32_reader(const struct lathe_model *m)
{
    bool any = m->head && !m->head->dot;
    any |= m->config.n_class && (!m->pooler.dot || !m->classifier.dot);
    for (int i = 0; i < m->config.n_layer; i++) {
        const struct model_layer *y = &m->layers[i];
        any |= !y->q.dot || !y->k.dot || !y->v.dot || !y->o.dot || y->moe ||
               (!m->config.encoder && !y->gate.dot) || !y->up.dot || !y->down.dot;
    }
    return any;
}

/* The KV cache's; of one layer, where no later pass looks back into another one. */
static struct kv_form form_of(const struct lathe_model *m, const struct pass_limits *limits)
{
    struct kv_form f = kv_form_of(m, limits->kv_types);
    if (limits->by_layer) {
        f.page_bytes /= (size_t)f.n_layer;
        f.n_layer = 1;
    }
    return f;
}

int pass_new(const struct lathe_model *m, struct pool *pool, const struct pass_limits *limits, uint8_t *kv,
             struct pass **out, struct lathe_err *err)
{
    const struct model_config *c = &m->config;
    struct pass *p;
    *out = NULL;
    struct pass init = {.model = m,
                        .pool = pool,
                        .n_worker = pool_n_worker(pool),
                        .limits = *limits,
                        .form = form_of(m, limits),
                        .kv = kv,
                        .kern = kern_set()};
    TRY(mem_try(1, sizeof *p, "pass", (void **)&p, err));
    memcpy(p, &init, sizeof init);
    kv_choose(p);
    p->attn_scale = EXP_LOG2E * c->attn_scale;
    p->act_only = c->act == ACT_GELU ? p->kern->gelu : gelu_tanh;
    p->act_mul = c->act == ACT_SILU        ? p->kern->silu_mul
                 : c->act == ACT_GELU_TANH ? p->kern->gelu_mul
                                           : p->kern->glu_clamped;
    p->cap_op = c->n_layer * OPS_PER_LAYER + OPS_PER_LAYER;
    p->any_f32 = has_f32_reader(m) || limits->by_layer;
    int rc = make_buffers(p, err);
    if (rc) {
        pass_free(p);
        return rc;
    }
    p->mm = arena_alloc(&p->arena, (size_t)(c->n_layer * MM_PER_LAYER + N_HEAD) * sizeof *p->mm);
    p->attn = arena_alloc(&p->arena, (size_t)c->n_layer * sizeof *p->attn);
    p->chains = arena_alloc(&p->arena, (size_t)(c->n_layer + 1) * sizeof *p->chains);
    p->ops = arena_alloc(&p->arena, (size_t)p->cap_op * sizeof *p->ops);
    p->chains[0] = (struct row_chain){p, p->mm, 1, 0, 0};
    for (int i = 0; i < c->n_layer; i++)
        pass_layer_changed(p, i);
    describe_heads(p);
    *out = p;
    return 0;
}

void pass_free(struct pass *p)
{
    if (!p)
        return;
    if (p->pool)
        pool_settle(p->pool);
    experts_free(p->experts);
    for (int i = 0; p->scratch && i < pool_n_worker(p->pool); i++) {
        struct scratch *s = &p->scratch[i];
        void *all[] = {s->norm,  s->inner,   s->act,      s->tile,    s->unpacked, s->query,
                       s->score, s->run_out, s->span_out, s->run_max, s->run_sum};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++)
            free(all[j]);
    }
    void *all[] = {p->scratch, p->x,       p->qkv,     p->att,      p->ff,          p->norm,   p->act,
                   p->rope[0], p->rope[1], p->post,    p->out_x,    p->logits,      p->pieces, p->row_pos,
                   p->row_seq, p->up,      p->pooled,  p->partials, p->narrow_seqs, p->trace,  p->spans_done,
                   p->spares,  p->slots,   p->closing, p->kept};
    for (size_t j = 0; j < sizeof all / sizeof *all; j++)
        free(all[j]);
    arena_free(&p->arena);
    free(p);
}

uint64_t pass_bytes(const struct lathe_model *m, int n_worker, const struct pass_limits *limits)
{
    struct pass count = {.model = m,
                         .n_worker = n_worker,
                         .limits = *limits,
                         .form = form_of(m, limits),
                         .any_f32 = has_f32_reader(m) || limits->by_layer,
                         .is_count = true};
    make_buffers(&count, NULL);
    experts_free(count.experts);
    return count.buffer_bytes;
}

uint64_t pass_buffer_bytes(const struct pass *p)
{
    return p->buffer_bytes;
}

uint64_t pass_expert_bytes(const struct pass *p)
{
    return experts_bytes_read(p->experts);
}

/* ---- running ---- */

static void run(struct pass *p)
{
    pool_run(p->pool, p->ops, p->n_op);
    if (p->profile)
        pass_profile_add(p);
}

static void silu_piece(const struct pool_op *op, int piece, int worker)
{
    const struct pass *p = op->arg;
    float *ff = p->ff + piece * p->ff_stride;
    if (p->model->config.encoder)
        p->act_only(ff, ff, (int)p->ff_stride);
    else
        p->act_mul(ff, p->up + piece * p->ff_stride, ff, (int)p->ff_stride);
}

/* Position and kind of text of an encoder's row, and the norm. `room`: of a row. */
static void embed_place(const struct pass *p, int row, float *x, float *room)
{
    const struct lathe_model *m = p->model;
    const struct pass_seq *s = &p->batch->seqs[p->row_seq[row]];
    int n = m->config.n_embd, second = s->second_at && p->row_pos[row] >= s->second_at;
    matrix_row(&m->position, p->row_pos[row], room);
    for (int i = 0; i < n; i++)
        x[i] += room[i];
    if (m->token_type.n_row > second) {
        matrix_row(&m->token_type, second, room);
        for (int i = 0; i < n; i++)
            x[i] += room[i];
    }
    p->kern->layernorm(x, m->embd_norm, m->embd_norm_bias, n, m->config.norm_eps, x);
}

void pass_embed_piece(const struct pool_op *op, int piece, int worker)
{
    const struct pass *p = op->arg;
    const struct model_config *c = &p->model->config;
    float *x = p->x + piece * p->x_stride;
    matrix_row(&p->model->embd, p->batch->tokens[piece], x);
    for (int i = 0; c->embd_scale != 1 && i < c->n_embd; i++)
        x[i] *= c->embd_scale;
    if (c->encoder)
        embed_place(p, piece, x, p->scratch[worker].norm);
}

/* What follows q, k, v in layer i. */
static void add_rest_of_layer(struct pass *p, int i, enum kv_state state)
{
    struct matmul *mm = p->mm + i * MM_PER_LAYER;
    int n_row = p->batch->n_row;
    attention_add(p, &p->attn[i], state);
    matmul_add(p, &mm[MM_O], n_row, i);
    if (p->model->layers[i].moe) {
        experts_add(p->experts, i, n_row);
        return;
    }
    matmul_add(p, &mm[MM_GATE_UP], n_row, i);
    if (p->limits.no_fusion)
        pass_add(p, "silu", i, n_row, p, silu_piece);
    matmul_add(p, &mm[MM_DOWN], n_row, i);
}

static void stream_piece(const struct pool_op *op, int piece, int worker)
{
    const struct pass *p = op->arg;
    int after = p->batch->n_out ? p->model->config.n_layer : 0;
    disk_stream_at(p->model->stream, op->layer,
                   op->layer + 1 < p->model->config.n_layer ? op->layer + 1 : after);
}

/* The pass comes to layer i, whose weights may be on the disk. */
static void add_stream(struct pass *p, int i)
{
    if (p->model->stream)
        pass_add(p, "stream", i, 1, p, stream_piece);
}

/* All layers; of the last one only q, k, v and the KV if the batch has rows that need no more. */
static void add_layers(struct pass *p, bool narrows)
{
    int n_layer = p->model->config.n_layer;
    for (int i = 0; i < n_layer; i++) {
        add_stream(p, i);
        matmul_add(p, &p->mm[i * MM_PER_LAYER + MM_QKV], p->batch->n_row, i);
        if (i + 1 < n_layer || !narrows)
            add_rest_of_layer(p, i, KV_TO_PUT);
        else
            kv_put_add(p, &p->attn[i]);
    }
}

static void add_chained_layers(struct pass *p, bool narrows)
{
    int n_row = p->batch->n_row, n_layer = p->model->config.n_layer;
    add_stream(p, 0);
    row_chain_add(p, &p->chains[0], n_row);
    for (int i = 0; i < n_layer - narrows; i++) {
        if (i)
            add_stream(p, i);
        attention_add(p, &p->attn[i], KV_PUT);
        row_chain_add(p, &p->chains[i + 1], n_row);
    }
}

/* Leaves only the output rows: the batch, x and q,k,v. */
static void narrow(struct pass *p)
{
    const struct pass_batch *b = p->batch;
    p->narrow = (struct pass_batch){.n_out = b->n_out, .seqs = p->narrow_seqs};
    for (int i = 0; i < b->n_seq; i++) {
        const struct pass_seq *s = &b->seqs[i];
        int to = p->narrow.n_row, skip = s->out_first ? 0 : s->n_row - s->n_out;
        if (s->n_out == 0)
            continue;
        struct pass_seq *kept = &p->narrow_seqs[p->narrow.n_seq++];
        *kept = *s;
        kept->row0 = to;
        kept->n_row = s->n_out;
        kept->pos0 = s->pos0 + skip;
        p->narrow.n_row += s->n_out;
        for (int r = 0; r < s->n_out; r++) { /* upwards: a row moves to where no wanted row lies any more */
            int from = s->row0 + skip + r;
            memmove(p->x + (to + r) * p->x_stride, p->x + from * p->x_stride,
                    (size_t)p->x_stride * sizeof *p->x);
            memmove(p->qkv + (to + r) * p->qkv_stride, p->qkv + from * p->qkv_stride,
                    (size_t)p->qkv_stride * sizeof *p->qkv);
        }
    }
    p->batch = &p->narrow;
}

/* What is left of the last layer, for the output rows alone. */
static void finish_narrow(struct pass *p)
{
    int last = p->model->config.n_layer - 1;
    narrow(p);
    p->n_op = 0;
    attention_plan(p);
    if (row_chain_wanted(p, p->narrow.n_row)) {
        attention_add(p, &p->attn[last], KV_CLOSED);
        row_chain_add(p, &p->chains[last + 1], p->narrow.n_row);
    } else {
        add_rest_of_layer(p, last, KV_CLOSED);
    }
    run(p);
}

static void fill_rope(struct pass *p, int position)
{
    for (int i = 0; i < N_ROPE_SET; i++)
        if (p->rope[i])
            rope_position(p->model, (enum rope_set)i, p->limits.n_ctx, position,
                          p->rope[i] + (size_t)position * (size_t)p->model->config.n_rot);
}

void pass_fill_rope(struct pass *p)
{
    for (int i = 0; i < p->batch->n_row; i++)
        for (; p->n_rope <= p->row_pos[i]; p->n_rope++)
            fill_rope(p, p->n_rope);
}

void pass_run(struct pass *p, const struct pass_batch *b)
{
    assert(b->n_row <= p->limits.n_row && b->n_seq <= p->limits.n_seq);
    bool narrows = b->n_out < b->n_row;
    p->batch = b;
    p->n_op = p->n_trace = 0;
    p->trace_start_ns = p->profile ? clock_ns() : 0;
    attention_plan(p);
    kv_plan(p);
    pass_fill_rope(p);
    pass_add(p, "embed", -1, b->n_row, p, pass_embed_piece);
    (row_chain_wanted(p, b->n_row) ? add_chained_layers : add_layers)(p, narrows);
    struct attention *last = &p->attn[p->model->config.n_layer - 1];
    if (narrows)
        kv_close_add(p, last);
    run(p);
    if (narrows && b->n_out)
        finish_narrow(p);
    p->n_op = 0;
    kv_keep_add(p, last);
    if (p->n_op)
        run(p);
}

/* The product of a head, for output rows first .. first+n where it is the first to read them. */
static void run_head(struct pass *p, enum head_kind kind, int n)
{
    struct matmul *head = &p->mm[p->model->config.n_layer * MM_PER_LAYER + (int)kind];
    p->n_op = 0;
    if (p->model->stream)
        disk_stream_at(p->model->stream, p->model->config.n_layer, 0);
    matmul_add(p, head, head->in.planes ? 2 * n : n, -1);
    run(p);
}

static void take_out_rows(struct pass *p, int first, int n)
{
    assert(n > 0 && n <= p->limits.n_out);
    for (int i = 0; i < n; i++)
        memcpy(p->out_x + i * p->x_stride, p->x + (first + i) * p->x_stride,
               (size_t)p->x_stride * sizeof *p->x);
}

float *pass_logits(struct pass *p, int first, int n, int64_t *stride)
{
    take_out_rows(p, first, n);
    run_head(p, HEAD_LOGITS, n);
    *stride = p->logits_stride;
    return p->logits;
}

float *pass_classes(struct pass *p, int first, int n, int64_t *stride)
{
    take_out_rows(p, first, n);
    run_head(p, HEAD_POOLER, n);
    run_head(p, HEAD_CLASSES, n);
    *stride = p->logits_stride;
    return p->logits;
}

void pass_hidden(const struct pass *p, int i, float *y)
{
    const struct model_config *c = &p->model->config;
    const float *x = p->x + i * p->x_stride;
    if (p->model->output_norm)
        p->kern->rmsnorm(x, p->model->output_norm, c->n_embd, c->norm_eps, y);
    else
        memcpy(y, x, (size_t)c->n_embd * sizeof *y);
}
