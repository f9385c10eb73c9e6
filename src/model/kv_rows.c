/* Keys and values of a pass's rows on their way into the cache.
 *
 * Floats go straight to their pages. Where a span is closed into integers (kv.h), a layer has the open spans of a pass at hand as
 * floats: the one that a sequence had open before it in its slot, those behind it in spares that all layers share.
 *
 *     positions   ... 127 | 128 ..... 191 | 192 ..... 255 | 256 .. 270
 *     span        closed  | slot          | spare         | spare
 *     rows of the pass:          150 ..................... 270
 *
 * In a layer, rows are put there, whole spans are closed, queries attend, and a last span that is not whole moves from
 * its spare to the slot, where no query of the layer looks any more. */
#include <string.h>
#include "model/pass_impl.h"

void kv_plan(struct pass *p)
{
    const struct pass_batch *b = p->batch;
    int n_spare = 0;
    p->n_closing = p->n_kept = 0;
    for (int i = 0; p->form.closes && i < b->n_seq; i++) {
        const struct pass_seq *s = &b->seqs[i];
        int end = s->pos0 + s->n_row, last = (end - 1) / SPAN;
        struct kv_slot *slot = &p->slots[s->slot];
        *slot = (struct kv_slot){s->pos0 / SPAN, n_spare};
        n_spare += last - slot->first;
        for (int span = slot->first; span < end / SPAN; span++)
            p->closing[p->n_closing++] = (struct kv_moving){i, span};
        if (last > slot->first && end % SPAN)
            p->kept[p->n_kept++] = (struct kv_moving){i, last};
    }
    p->whole = b;
}

uint8_t *kv_page_at(const struct pass *p, const struct pass_seq *s, int span, int layer, int kv_head)
{
    return p->kv + kv_offset(&p->form, p->limits.n_page, s->pages[span],
                             layer < p->form.n_layer ? layer : p->form.n_layer - 1, kv_head);
}

static uint8_t *slot_at(const struct pass *p, const struct pass_seq *s, int layer, int kv_head)
{
    return p->kv + kv_open_offset(&p->form, p->limits.n_page, s->slot, layer, kv_head);
}

uint8_t *kv_open_at(const struct pass *p, const struct pass_seq *s, int span, int layer, int kv_head)
{
    if (!p->form.closes)
        return kv_page_at(p, s, span, layer, kv_head);
    const struct kv_slot *slot = &p->slots[s->slot];
    if (span == slot->first)
        return slot_at(p, s, layer, kv_head);
    int i = (slot->spare + span - slot->first - 1) * p->form.n_head + kv_head;
    return p->spares + (size_t)i * p->form.open_head_bytes;
}

/* ---- rows ---- */

static void write_key(const struct pass *p, const float *k, uint8_t *head, int slot)
{
    int n = p->form.head_dim;
    if (!p->k.store) {
        float *out = (float *)head + slot;
        for (int d = 0; d < n; d++)
            out[d * SPAN] = k[d];
        return;
    }
    uint16_t half[1024], *out = (uint16_t *)head + slot;
    p->k.store(k, half, n);
    for (int d = 0; d < n; d++)
        out[d * SPAN] = half[d];
}

static void write_value(const struct pass *p, const float *v, uint8_t *values, int slot)
{
    size_t elem = (size_t)kv_elem_bytes(p->form.v.open);
    uint8_t *out = values + (size_t)slot * (size_t)p->form.value_dim * elem;
    int n = p->form.head_dim, pad = p->form.value_dim - n;
    if (!p->v.store)
        memcpy(out, v, (size_t)n * elem);
    else
        p->v.store(v, (uint16_t *)out, n);
    if (pad)
        memset(out + (size_t)n * elem, 0, (size_t)pad * elem);
}

const float *pass_rope_at(const struct pass *p, int layer, int pos)
{
    const float *table = p->rope[p->model->layers[layer].rope];
    return table ? table + (size_t)pos * (size_t)p->model->config.n_rot : NULL; /* an encoder has none */
}

void kv_put_row(const struct pass *p, const struct pass_seq *s, int row, int layer, int kv_head)
{
    int pos = p->row_pos[row], hd = p->form.head_dim;
    float *k = p->qkv + row * p->qkv_stride + p->k_at + kv_head * hd;
    const float *v = p->qkv + row * p->qkv_stride + p->v_at + kv_head * hd;
    uint8_t *head = kv_open_at(p, s, pos / SPAN, layer, kv_head);
    const struct model_layer *y = &p->model->layers[layer];
    if (y->k_norm)
        p->kern->rmsnorm(k, y->k_norm, hd, p->model->config.norm_eps, k);
    if (p->model->config.n_rot)
        p->kern->rope(k, pass_rope_at(p, layer, pos), p->model->config.n_rot / 2, 1.0f, k);
    write_key(p, k, head, pos % SPAN);
    write_value(p, v, head + p->form.k.open_bytes, pos % SPAN);
}

void attention_put(const struct attention *a, int first, int last)
{
    const struct pass *p = a->pass;
    /* a head's lines of its page, each with some positions of one dimension, are touched for all rows before the next's */
    for (int h = 0; h < p->model->config.n_head_kv; h++)
        for (int r = first; r < last; r++)
            kv_put_row(p, &p->batch->seqs[p->row_seq[r]], r, a->layer, h);
}

static void put_piece(const struct pool_op *op, int piece, int worker)
{
    const struct attention *at = op->arg;
    const struct attn_piece *a = &at->pass->pieces[piece];
    attention_put(at, a->row, a->row + a->n_row);
}

void kv_put_add(struct pass *p, struct attention *a)
{
    pass_add(p, "rope+kv write", a->layer, p->n_piece, a, put_piece);
}

/* ---- spans ---- */

/* The first key of a sequence apart: in the strip its neighbour stands for it. */
static void close_first_keys(const struct pass *p, uint16_t *open, uint8_t *page)
{
    uint16_t sink[1024] = {0};
    int n = p->form.head_dim;
    for (int d = 0; d < n; d++) {
        sink[d] = open[d * SPAN];
        open[d * SPAN] = open[d * SPAN + 1];
    }
    p->k.pack(open, SPAN, STRIP_GROUPS, n, page);
    for (int d = 0; d < n; d++)
        open[d * SPAN] = sink[d];
    memcpy(page + kv_sink_at(&p->form), sink, (size_t)n * sizeof *sink);
}

static void close_keys(const struct pass *p, int span, uint8_t *open, uint8_t *page)
{
    if (!p->k.pack)
        memcpy(page, open, p->form.k.bytes);
    else if (span == 0 && kv_has_sink(&p->form))
        close_first_keys(p, (uint16_t *)open, page);
    else
        p->k.pack((const uint16_t *)open, SPAN, STRIP_GROUPS, p->form.head_dim, page);
}

static void close_values(const struct pass *p, const uint8_t *open, uint8_t *page)
{
    int vd = p->form.value_dim;
    enum format_id of = p->form.v.format;
    for (int i = 0; p->v.pack && i < kv_n_strip(of, vd); i++)
        p->v.pack((const uint16_t *)open + i * kv_value_lanes(of), vd, kv_value_groups(of, vd, i), SPAN,
                  page + kv_value_strips(of, vd, i));
    if (!p->v.pack)
        memcpy(page, open, p->form.v.bytes);
}

static void close_piece(const struct pool_op *op, int piece, int worker)
{
    const struct attention *at = op->arg;
    const struct pass *p = at->pass;
    const struct kv_moving *m = &p->closing[piece / p->form.n_head];
    const struct pass_seq *s = &p->whole->seqs[m->seq];
    int head = piece % p->form.n_head;
    uint8_t *open = kv_open_at(p, s, m->span, at->layer, head),
            *page = kv_page_at(p, s, m->span, at->layer, head);
    close_keys(p, m->span, open, page);
    close_values(p, open + p->form.k.open_bytes, page + p->form.k.bytes);
}

void kv_close_add(struct pass *p, struct attention *a)
{
    if (p->n_closing)
        pass_add(p, "kv close", a->layer, p->n_closing * p->form.n_head, a, close_piece);
}

static void keep_piece(const struct pool_op *op, int piece, int worker)
{
    const struct attention *at = op->arg;
    const struct pass *p = at->pass;
    const struct kv_moving *m = &p->kept[piece / p->form.n_head];
    const struct pass_seq *s = &p->whole->seqs[m->seq];
    int head = piece % p->form.n_head;
    memcpy(slot_at(p, s, at->layer, head), kv_open_at(p, s, m->span, at->layer, head),
           p->form.open_head_bytes);
}

void kv_keep_add(struct pass *p, struct attention *a)
{
    if (p->n_kept)
        pass_add(p, "kv keep", a->layer, p->n_kept * p->form.n_head, a, keep_piece);
}

/* ---- what the pass needs for it ---- */

static struct kv_kernels kernels_of(const struct kern_set *k, const struct kv_half *half)
{
    struct kv_kernels out = {.tile = half->open == FORMAT_F32   ? k->tile_f32
                                     : half->open == FORMAT_F16 ? k->tile_f16
                                                                : k->tile_bf16,
                             .store = half->open == FORMAT_F32   ? NULL
                                      : half->open == FORMAT_F16 ? k->to_f16
                                                                 : k->to_bf16};
    if (kv_is_integer(half->format)) {
        out.strip = (tile_span_fn *)kern_choose(KERN_TILE_SPAN, half->format, KERN_MANY)->fn;
        out.pack = (pack_span_fn *)kern_choose(KERN_PACK_SPAN, half->format, KERN_MANY)->fn;
    }
    return out;
}

void kv_choose(struct pass *p)
{
    p->k = kernels_of(p->kern, &p->form.k);
    p->v = kernels_of(p->kern, &p->form.v);
}

int kv_take(struct pass *p, struct lathe_err *err)
{
    /* a sequence has at most one span more than its rows fill, its first and its last being cut */
    int64_t n_seq = p->limits.n_seq, n = p->limits.n_row / SPAN + n_seq;
    if (!p->form.closes)
        return 0;
    TAKE(p, n * p->form.n_head * (int64_t)p->form.open_head_bytes, p->spares, "open KV spans");
    TAKE(p, n_seq, p->slots, "open KV spans");
    TAKE(p, n, p->closing, "open KV spans");
    TAKE(p, n_seq, p->kept, "open KV spans");
    return 0;
}
