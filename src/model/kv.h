/* The form of a KV page. A page is one attention span: 64 consecutive positions of one sequence, of all layers.
 *
 *     page:  layer 0 | layer 1 | ...            layer:  kv head 0 | kv head 1 | ...
 *     head:  K [4 groups][head_dim][16 positions]  V [64 positions][value_dim]     value_dim = head_dim rounded up to 16
 *
 * Keys lie 16 to the lanes, values with their dimensions in the lanes, so that both halves of attention are the same tile. */
#ifndef LATHE_MODEL_KV_H
#define LATHE_MODEL_KV_H
#include "model/model.h"

enum { SPAN = 64 };

struct kv_form {
    int head_dim, value_dim, elem_bytes; /* 2: f16, 4: f32 (exact mode) */
    size_t k_bytes, head_bytes, layer_bytes, page_bytes;
};

static inline struct kv_form kv_form_of(const struct lathe_model *m)
{
    struct kv_form f = {.head_dim = m->config.head_dim, .elem_bytes = m->exact ? 4 : 2};
    f.value_dim = (f.head_dim + LANES - 1) / LANES * LANES;
    f.k_bytes = (size_t)SPAN * (size_t)f.head_dim * (size_t)f.elem_bytes;
    f.head_bytes = f.k_bytes + (size_t)SPAN * (size_t)f.value_dim * (size_t)f.elem_bytes;
    f.layer_bytes = f.head_bytes * (size_t)m->config.n_head_kv;
    f.page_bytes = f.layer_bytes * (size_t)m->config.n_layer;
    return f;
}
#endif
