/* The form of the KV cache. A page is one attention span: 64 consecutive positions of one sequence, of all
 * layers. Its parts lie where a step reads them one after another: all pages of one layer and head together,
 * so that a sequence whose pages are neighbours is one stream (spread pages of 1.5 MB, 16 KiB of each, are
 * read at 18 instead of 27 GB/s a core on Zen 4).
 *
 *     cache   layer 0, head 0: page 0, page 1, ... | layer 0, head 1: page 0, ... | ... | layer 1, head 0: ...
 *     part    K [head_dim][64 positions]  V [64 positions][value_dim], value_dim = head_dim rounded up to 16
 *
 * Keys lie with their positions in the lanes, values with their dimensions in the lanes, so that both halves
 * of attention are the same tile. */
#ifndef LATHE_MODEL_KV_H
#define LATHE_MODEL_KV_H
#include "model/model.h"

enum { SPAN = 64 };

struct kv_form {
    enum format_id format; /* F16 or BF16; F32 in exact mode */
    int head_dim, value_dim, elem_bytes;
    size_t k_bytes, head_bytes, page_bytes; /* head_bytes: of one page, layer and head */
    int n_head,
        n_layer; /* an encoder's layers have one after another the same memory: no later pass looks back */
};

static inline struct kv_form kv_form_of(const struct lathe_model *m, enum lathe_kv_type type)
{
    struct kv_form f = {.format = m->exact                ? FORMAT_F32
                                  : type == LATHE_KV_BF16 ? FORMAT_BF16
                                                          : FORMAT_F16,
                        .head_dim = m->config.head_dim,
                        .elem_bytes = m->exact ? 4 : 2};
    f.value_dim = (f.head_dim + LANES - 1) / LANES * LANES;
    f.k_bytes = (size_t)SPAN * (size_t)f.head_dim * (size_t)f.elem_bytes;
    f.head_bytes = f.k_bytes + (size_t)SPAN * (size_t)f.value_dim * (size_t)f.elem_bytes;
    f.n_head = m->config.n_head_kv;
    f.n_layer = m->config.encoder ? 1 : m->config.n_layer;
    f.page_bytes = f.head_bytes * (size_t)f.n_head * (size_t)f.n_layer;
    return f;
}

/* Offset of a page's part in a cache of n_page pages. */
static inline size_t kv_offset(const struct kv_form *f, int n_page, int page, int layer, int head)
{
    return (((size_t)layer * (size_t)f->n_head + (size_t)head) * (size_t)n_page + (size_t)page) *
           f->head_bytes;
}
#endif
