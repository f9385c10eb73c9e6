/* The form of the KV cache. A page is one attention span: 64 consecutive positions of one sequence, of all
 * layers. Its parts lie where a step reads them one after another: all pages of one layer and head together,
 * so that a sequence whose pages are neighbours is one stream (spread pages of 1.5 MB, 16 KiB of each, are
 * read at 18 instead of 27 GB/s a core on Zen 4).
 *
 *     cache   layer 0, head 0: page 0, page 1, ... | layer 0, head 1: page 0, ... | ... | layer 1, head 0: ...
 *             | open spans, where there are any: slot 0: layer 0, head 0 | layer 0, head 1 | ... | slot 1: ...
 *     part    K [head_dim][64 positions]  V [64 positions][value_dim], value_dim = head_dim rounded up to 16
 *
 * Keys lie with their positions in the lanes, values with their dimensions in the lanes, so that both halves
 * of attention are the same tile.
 *
 * Integers (q8_0, q4) need a whole span to find their scales. A sequence that runs has a slot with its open span, the last one, in floats; when
 * a span is whole it is closed: made into the integers of its page (kern/span.h; a half that stays floats is copied). A
 * query meets the span that it is in itself as floats and those before it as their pages have them, whatever pass closed
 * them: so what it sees is a matter of its position alone.
 *
 * The first position of a sequence is where attention goes that has nowhere to go (Xiao et al. 2023, attention sinks), and its key
 * is unlike all others: of its span it would widen the range of every channel, and is much looked at. So behind the strip of
 * keys in 4 bits there is room for one key in f16, which the first page uses (SmolLM2 q4_1, 40 chunks: q4 costs 0.08 of perplexity with it,
 * 0.16 without). */
#ifndef LATHE_MODEL_KV_H
#define LATHE_MODEL_KV_H
#include "kern/span.h"
#include "model/model.h"

enum { SPAN = STRIP_LANES };

/* Keys or values of a span. */
struct kv_half {
    enum format_id format,
        open; /* of pages: F16, BF16, Q8_1, Q4_1, in exact mode F32; and of the open span */
    size_t bytes, open_bytes;
};

struct kv_form {
    struct kv_half k, v;
    bool closes; /* one of them is integers, and there are open spans */
    int head_dim, value_dim;
    size_t head_bytes, page_bytes;           /* head_bytes: of one page, layer and head */
    size_t open_head_bytes, open_slot_bytes; /* 0 without open spans */
    int n_head,
        n_layer; /* an encoder's layers have one after another the same memory: no later pass looks back */
};

struct kv_types {
    enum lathe_kv_type k, v;
};

static inline int kv_elem_bytes(enum format_id of_floats)
{
    return of_floats == FORMAT_F32 ? 4 : 2;
}

/* What a model keeps of a type that is asked for. An encoder reads its keys and values once, in the pass that makes them. */
static inline enum format_id kv_format_of(const struct lathe_model *m, enum lathe_kv_type type)
{
    static const enum format_id of[] = {[LATHE_KV_F16] = FORMAT_F16,
                                        [LATHE_KV_BF16] = FORMAT_BF16,
                                        [LATHE_KV_Q8_0] = FORMAT_Q8_1,
                                        [LATHE_KV_Q4] = FORMAT_Q4_1};
    if (m->exact)
        return FORMAT_F32;
    return m->config.encoder && type != LATHE_KV_BF16 ? FORMAT_F16 : of[type];
}

static inline bool kv_is_integer(enum format_id format)
{
    return format == FORMAT_Q8_1 || format == FORMAT_Q4_1;
}

/* Dimensions of the values that have one scale: of 4 bits fewer. */
static inline int kv_value_lanes(enum format_id format)
{
    return format == FORMAT_Q4_1 ? STRIP_LANES / 2 : STRIP_LANES;
}

/* Groups of 16 dimensions in strip i of the values. */
static inline int kv_value_groups(enum format_id format, int value_dim, int i)
{
    int lanes = kv_value_lanes(format), left = value_dim - i * lanes;
    return (left < lanes ? left : lanes) / LANES;
}

/* Bytes of the values' strips before strip i. */
static inline size_t kv_value_strips(enum format_id format, int value_dim, int i)
{
    size_t n = 0;
    for (int k = 0; k < i; k++)
        n += strip_bytes(format, kv_value_groups(format, value_dim, k), SPAN);
    return n;
}

static inline int kv_n_strip(enum format_id format, int value_dim)
{
    int lanes = kv_value_lanes(format);
    return (value_dim + lanes - 1) / lanes;
}

/* Eight bits have range enough. */
static inline bool kv_has_sink(const struct kv_form *f)
{
    return f->k.format == FORMAT_Q4_1;
}

/* Where the first position's key is in a page's keys. */
static inline size_t kv_sink_at(const struct kv_form *f)
{
    return strip_bytes(f->k.format, STRIP_GROUPS, f->head_dim);
}

static inline struct kv_form kv_form_of(const struct lathe_model *m, struct kv_types types)
{
    struct kv_form f = {.head_dim = m->config.head_dim};
    f.value_dim = (f.head_dim + LANES - 1) / LANES * LANES;
    f.k.format = f.k.open = kv_format_of(m, types.k);
    f.v.format = f.v.open = kv_format_of(m, types.v);
    bool k_closes = kv_is_integer(f.k.format), v_closes = kv_is_integer(f.v.format);
    f.k.open = k_closes ? FORMAT_F16 : f.k.format;
    f.v.open = v_closes ? FORMAT_F16 : f.v.format;
    f.k.open_bytes = (size_t)SPAN * (size_t)f.head_dim * (size_t)kv_elem_bytes(f.k.open);
    f.v.open_bytes = (size_t)SPAN * (size_t)f.value_dim * (size_t)kv_elem_bytes(f.v.open);
    f.k.bytes = k_closes ? kv_sink_at(&f) : f.k.open_bytes;
    if (kv_has_sink(&f))
        f.k.bytes += (size_t)f.head_dim * sizeof(uint16_t);
    f.v.bytes = v_closes ? kv_value_strips(f.v.format, f.value_dim, kv_n_strip(f.v.format, f.value_dim))
                         : f.v.open_bytes;
    f.n_head = m->config.n_head_kv;
    f.n_layer = m->config.encoder ? 1 : m->config.n_layer;
    f.head_bytes = f.k.bytes + f.v.bytes;
    f.page_bytes = f.head_bytes * (size_t)f.n_head * (size_t)f.n_layer;
    f.closes = k_closes || v_closes;
    if (f.closes)
        f.open_head_bytes = f.k.open_bytes + f.v.open_bytes;
    f.open_slot_bytes = f.open_head_bytes * (size_t)f.n_head * (size_t)f.n_layer;
    return f;
}

/* Offset of a page's part in a cache of n_page pages. */
static inline size_t kv_offset(const struct kv_form *f, int n_page, int page, int layer, int head)
{
    return (((size_t)layer * (size_t)f->n_head + (size_t)head) * (size_t)n_page + (size_t)page) *
           f->head_bytes;
}

/* Offset of a slot's open span. */
static inline size_t kv_open_offset(const struct kv_form *f, int n_page, int slot, int layer, int head)
{
    return (size_t)n_page * f->page_bytes + (size_t)slot * f->open_slot_bytes +
           ((size_t)layer * (size_t)f->n_head + (size_t)head) * f->open_head_bytes;
}
#endif
