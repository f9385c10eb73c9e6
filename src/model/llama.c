/* The llama architecture: grouped-query attention with rotary positions, SwiGLU feed-forward, RMS norms
 * (Touvron et al. 2023). */
#include <stdlib.h>
#include <string.h>
#include "model/model.h"

static int read_int(struct loader *l, const char *key, int fallback, int lo, int hi, int *out)
{
    uint32_t v = (uint32_t)fallback;
    bool has = false;
    TRY(mf_u32(l->file, key, &v, &has, l->err));
    if (!has && fallback < 0)
        return err_set(l->err, LATHE_E_FILE, "metadata %s is missing", key);
    if (v < (uint32_t)lo || v > (uint32_t)hi)
        return err_set(l->err, LATHE_E_FILE, "metadata %s is %u, expected %d..%d", key, v, lo, hi);
    *out = (int)v;
    return 0;
}

/* head counts may be an array with one entry a layer; only equal ones run. */
static int read_heads(struct loader *l, const char *key, int fallback, int *out)
{
    const struct mf_meta *m = model_file_find(l->file, key);
    if (!m || m->kind != MF_ARRAY)
        return read_int(l, key, fallback, 1, 1 << 16, out);
    int32_t *v;
    uint64_t n;
    TRY(mf_i32s(l->file, key, &v, &n, l->err));
    bool same = n > 0;
    for (uint64_t i = 1; i < n; i++)
        same &= v[i] == v[0];
    int first = n ? v[0] : 0;
    free(v);
    if (!same || first < 1 || first > 1 << 16)
        return err_set(l->err, LATHE_E_UNSUPPORTED, "metadata %s differs between layers, which cannot run",
                       key);
    *out = first;
    return 0;
}

static int read_float(struct loader *l, const char *key, float fallback, float lo, float hi, float *out)
{
    float v = fallback;
    TRY(mf_f32(l->file, key, &v, NULL, l->err));
    if (!(v >= lo && v <= hi))
        return err_set(l->err, LATHE_E_FILE, "metadata %s is %g, expected %g..%g", key, (double)v, (double)lo,
                       (double)hi);
    *out = v;
    return 0;
}

static int read_rope(struct loader *l)
{
    struct model_config *c = &l->model->config;
    TRY(read_float(l, "llama.rope.freq_base", 10000.0f, 1.0f, 1e12f, &c->rope_base));
    struct str type = STR("linear"); /* a factor without a type means linear; without a factor it is 1 */
    float scale_linear = 0;
    TRY(mf_str(l->file, "llama.rope.scaling.type", &type, NULL, l->err));
    TRY(read_float(l, "llama.rope.scale_linear", 0, 0, 1e6f, &scale_linear));
    TRY(read_float(l, "llama.rope.scaling.factor", scale_linear > 0 ? scale_linear : 1, 1e-3f, 1e6f,
                   &c->rope_factor));
    TRY(read_int(l, "llama.rope.scaling.original_context_length", c->n_ctx_train, 1, 1 << 30,
                 &c->rope_ctx_original));
    TRY(read_float(l, "llama.rope.scaling.attn_factor", 1, 0, 1e3f, &c->yarn_attn_factor));
    TRY(read_float(l, "llama.rope.scaling.yarn_beta_fast", 32, 1e-3f, 1e6f, &c->yarn_beta_fast));
    TRY(read_float(l, "llama.rope.scaling.yarn_beta_slow", 1, 1e-3f, 1e6f, &c->yarn_beta_slow));
    if (str_is(type, "linear"))
        c->rope_scaling = ROPE_LINEAR;
    else if (str_is(type, "yarn"))
        c->rope_scaling = ROPE_YARN;
    else if (!str_is(type, "none"))
        return err_set(l->err, LATHE_E_UNSUPPORTED,
                       "rope scaling '" STR_FMT "' cannot run; known: none linear yarn", STR_ARG(type));
    const float *factors;
    TRY(loader_vector(l, &factors, c->n_rot / 2, false, "rope_freqs.weight"));
    rope_init(l->model, factors);
    return 0;
}

/* A window as long as the context is none. */
static int refuse_window(struct loader *l)
{
    uint32_t window = 0;
    TRY(mf_u32(l->file, "llama.attention.sliding_window", &window, NULL, l->err));
    if (window && window < (uint32_t)l->model->config.n_ctx_train)
        return err_set(l->err, LATHE_E_UNSUPPORTED, "attention in a window of %u tokens cannot run", window);
    return 0;
}

static int read_config(struct loader *l)
{
    struct model_config *c = &l->model->config;
    TRY(read_int(l, "llama.block_count", -1, 1, 4096, &c->n_layer));
    TRY(read_int(l, "llama.embedding_length", -1, 1, 1 << 20, &c->n_embd));
    TRY(read_int(l, "llama.feed_forward_length", -1, 1, 1 << 22, &c->n_ff));
    TRY(read_int(l, "llama.context_length", 2048, 1, 1 << 30, &c->n_ctx_train));
    TRY(read_heads(l, "llama.attention.head_count", -1, &c->n_head));
    TRY(read_heads(l, "llama.attention.head_count_kv", c->n_head, &c->n_head_kv));
    if (c->n_head % c->n_head_kv)
        return err_set(l->err, LATHE_E_FILE, "%d attention heads cannot share %d key-value heads", c->n_head,
                       c->n_head_kv);
    if (c->n_embd % c->n_head && !model_file_find(l->file, "llama.attention.key_length"))
        return err_set(l->err, LATHE_E_FILE,
                       "embedding length %d is not a multiple of %d heads and key_length is missing",
                       c->n_embd, c->n_head);
    TRY(read_int(l, "llama.attention.key_length", c->n_embd / c->n_head, 2, 1024, &c->head_dim));
    int value_dim;
    TRY(read_int(l, "llama.attention.value_length", c->head_dim, 2, 1024, &value_dim));
    if (value_dim != c->head_dim)
        return err_set(l->err, LATHE_E_UNSUPPORTED, "keys of %d and values of %d dimensions cannot run",
                       c->head_dim, value_dim);
    TRY(read_int(l, "llama.rope.dimension_count", c->head_dim, 2, c->head_dim, &c->n_rot));
    TRY(mf_bool(l->file, "llama.rope.halves", &l->halves, NULL, l->err));
    TRY(refuse_window(l));
    if (c->n_rot % 2)
        return err_set(l->err, LATHE_E_FILE, "rope.dimension_count %d is odd", c->n_rot);
    uint32_t n_expert = 0;
    TRY(mf_u32(l->file, "llama.expert_count", &n_expert, NULL, l->err));
    if (n_expert)
        return err_set(l->err, LATHE_E_UNSUPPORTED, "mixture of %u experts cannot run", n_expert);
    TRY(read_float(l, "llama.attention.layer_norm_rms_epsilon", 1e-5f, 0, 1, &c->rms_eps));
    return read_rope(l);
}

static int load_layer(struct loader *l, int i)
{
    const struct model_config *c = &l->model->config;
    struct model_layer *y = &l->model->layers[i];
    int q_dim = c->n_head * c->head_dim, kv_dim = c->n_head_kv * c->head_dim;
    TRY(loader_vector(l, &y->attn_norm, c->n_embd, true, "blk.%d.attn_norm.weight", i));
    TRY(loader_vector(l, &y->ffn_norm, c->n_embd, true, "blk.%d.ffn_norm.weight", i));
    TRY(loader_matrix(l, &y->q, q_dim, c->n_embd, "blk.%d.attn_q", i));
    if (l->halves)
        loader_halves(l, c->head_dim, c->n_rot);
    TRY(loader_matrix(l, &y->k, kv_dim, c->n_embd, "blk.%d.attn_k", i));
    if (l->halves)
        loader_halves(l, c->head_dim, c->n_rot);
    TRY(loader_matrix(l, &y->v, kv_dim, c->n_embd, "blk.%d.attn_v", i));
    TRY(loader_matrix(l, &y->o, c->n_embd, q_dim, "blk.%d.attn_output", i));
    TRY(loader_matrix(l, &y->gate, c->n_ff, c->n_embd, "blk.%d.ffn_gate", i));
    TRY(loader_matrix(l, &y->up, c->n_ff, c->n_embd, "blk.%d.ffn_up", i));
    loader_interleave(l);
    TRY(loader_matrix(l, &y->down, c->n_embd, c->n_ff, "blk.%d.ffn_down", i));
    return 0;
}

int llama_load(struct loader *l)
{
    struct lathe_model *m = l->model;
    TRY(read_config(l));
    const struct mf_tensor *embd = model_file_tensor_find(l->file, "token_embd.weight");
    if (!embd)
        return err_set(l->err, LATHE_E_FILE, "tensor token_embd.weight is missing");
    if (embd->dim[1] > 1 << 24)
        return err_set(l->err, LATHE_E_FILE, "token_embd.weight has %llu rows",
                       (unsigned long long)embd->dim[1]);
    m->config.n_vocab = (int)embd->dim[1];
    if (vocab_size(m->vocab) > m->config.n_vocab)
        return err_set(l->err, LATHE_E_FILE, "the vocabulary has %d tokens, token_embd.weight only %d rows",
                       vocab_size(m->vocab), m->config.n_vocab);
    uint64_t per_layer = 9;
    if ((uint64_t)m->config.n_layer > model_file_n_tensor(l->file) / per_layer)
        return err_set(l->err, LATHE_E_FILE, "llama.block_count is %d, the file has only %llu tensors",
                       m->config.n_layer, (unsigned long long)model_file_n_tensor(l->file));
    m->layers = arena_alloc(&m->arena, (size_t)m->config.n_layer * sizeof *m->layers);
    for (int i = 0; i < m->config.n_layer; i++)
        TRY(load_layer(l, i));
    TRY(loader_vector(l, &m->output_norm, m->config.n_embd, true, "output_norm.weight"));
    m->tied = !model_file_tensor_find(l->file, "output.weight");
    m->head = m->tied ? &m->embd : &m->head_own;
    if (m->tied)
        return loader_matrix(l, &m->embd, m->config.n_vocab, m->config.n_embd, "token_embd");
    TRY(loader_embedding(l, &m->embd, m->config.n_vocab, m->config.n_embd, "token_embd"));
    return loader_matrix(l, &m->head_own, m->config.n_vocab, m->config.n_embd, "output");
}
