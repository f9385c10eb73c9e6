/* The configuration of a decoder: metadata under the architecture's name, as GGUF has it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model/decoder.h"

/* Head counts may be an array with one entry a layer; only equal ones run. */
static int read_heads(struct loader *l, const char *name, int fallback, int *out)
{
    struct loader_key k = loader_key(l, name);
    const struct mf_meta *m = model_file_find(l->file, k.name);
    if (!m || m->kind != MF_ARRAY)
        return loader_int(l, name, fallback, 1, 1 << 16, out);
    int32_t *v;
    uint64_t n;
    TRY(mf_i32s(l->file, k.name, &v, &n, l->err));
    bool same = n > 0;
    for (uint64_t i = 1; i < n; i++)
        same &= v[i] == v[0];
    int first = n ? v[0] : 0;
    free(v);
    if (!same || first < 1 || first > 1 << 16)
        return err_set(l->err, LATHE_E_UNSUPPORTED, "metadata %s differs between layers, which cannot run",
                       k.name);
    *out = first;
    return 0;
}

static int read_rope_type(struct loader *l)
{
    struct model_config *c = &l->model->config;
    struct str type = STR("linear"); /* a factor without a type means linear; without a factor it is 1 */
    TRY(mf_str(l->file, loader_key(l, "rope.scaling.type").name, &type, NULL, l->err));
    if (str_is(type, "linear"))
        c->rope_scaling = ROPE_LINEAR;
    else if (str_is(type, "yarn"))
        c->rope_scaling = ROPE_YARN;
    else if (!str_is(type, "none") && !str_is(type, "longrope"))
        return err_set(l->err, LATHE_E_UNSUPPORTED,
                       "rope scaling '" STR_FMT "' cannot run; known: none linear yarn longrope",
                       STR_ARG(type));
    return 0;
}

static int read_rope(struct loader *l, const struct decoder *d)
{
    struct model_config *c = &l->model->config;
    TRY(loader_float(l, "rope.freq_base", 10000.0f, 1.0f, 1e12f, &c->rope_base));
    float scale_linear = 0, local = 0;
    TRY(loader_float(l, "rope.scale_linear", 0, 0, 1e6f, &scale_linear));
    TRY(loader_float(l, "rope.scaling.factor", scale_linear > 0 ? scale_linear : 1, 1e-3f, 1e6f,
                     &c->rope_factor));
    TRY(loader_int(l, "rope.scaling.original_context_length", c->n_ctx_train, 1, 1 << 30,
                   &c->rope_ctx_original));
    TRY(loader_float(l, "rope.scaling.attn_factor", 1, 0, 1e3f, &c->rope_attn_factor));
    TRY(loader_float(l, "rope.scaling.yarn_beta_fast", 32, 1e-3f, 1e6f, &c->yarn_beta_fast));
    TRY(loader_float(l, "rope.scaling.yarn_beta_slow", 1, 1e-3f, 1e6f, &c->yarn_beta_slow));
    bool truncate = !d->yarn_exact;
    TRY(mf_bool(l->file, loader_key(l, "rope.scaling.truncate").name, &truncate, NULL, l->err));
    c->yarn_exact = !truncate;
    TRY(read_rope_type(l));
    if (d->local_base > 0)
        TRY(loader_float(l, "rope.freq_base_swa", d->local_base, 1, 1e12f, &local));
    const float *factors, *factors_long, *factors_short;
    int n = c->n_rot / 2;
    TRY(loader_vector(l, &factors, n, false, "rope_freqs.weight"));
    TRY(loader_vector(l, &factors_long, n, false, "rope_factors_long.weight"));
    TRY(loader_vector(l, &factors_short, n, factors_long != NULL, "rope_factors_short.weight"));
    rope_init(l->model, factors_short ? factors_short : factors, factors_long, local);
    return 0;
}

static int refuse(struct loader *l)
{
    const struct model_config *c = &l->model->config;
    int value_dim;
    TRY(loader_int(l, "attention.value_length", c->head_dim, 2, 1024, &value_dim));
    if (value_dim != c->head_dim)
        return err_set(l->err, LATHE_E_UNSUPPORTED, "keys of %d and values of %d dimensions cannot run",
                       c->head_dim, value_dim);
    return 0;
}

/* Experts may have a width of their own; weights of the chosen ones add up to 1 unless the file says otherwise. */
static int read_experts(struct loader *l)
{
    struct model_config *c = &l->model->config;
    TRY(loader_int(l, "expert_count", 0, 0, 4096, &c->n_expert));
    if (!c->n_expert)
        return 0;
    TRY(loader_int(l, "expert_used_count", -1, 1, c->n_expert < 64 ? c->n_expert : 64, &c->n_expert_used));
    TRY(loader_int(l, "expert_feed_forward_length", c->n_ff, 1, 1 << 22, &c->n_ff));
    c->expert_norm = true;
    return mf_bool(l->file, loader_key(l, "expert_weights_norm").name, &c->expert_norm, NULL, l->err);
}

static int read_heads_of(struct loader *l)
{
    struct model_config *c = &l->model->config;
    TRY(read_heads(l, "attention.head_count", -1, &c->n_head));
    TRY(read_heads(l, "attention.head_count_kv", c->n_head, &c->n_head_kv));
    if (c->n_head % c->n_head_kv)
        return err_set(l->err, LATHE_E_FILE, "%d attention heads cannot share %d key-value heads", c->n_head,
                       c->n_head_kv);
    if (c->n_embd % c->n_head && !model_file_find(l->file, loader_key(l, "attention.key_length").name))
        return err_set(l->err, LATHE_E_FILE,
                       "embedding length %d is not a multiple of %d heads and key_length is missing",
                       c->n_embd, c->n_head);
    TRY(loader_int(l, "attention.key_length", c->n_embd / c->n_head, 2, 1024, &c->head_dim));
    TRY(loader_int(l, "rope.dimension_count", c->head_dim, 2, c->head_dim, &c->n_rot));
    if (c->n_rot % 2)
        return err_set(l->err, LATHE_E_FILE, "rope.dimension_count %d is odd", c->n_rot);
    return 0;
}

int decoder_config(struct loader *l, const struct decoder *d)
{
    struct model_config *c = &l->model->config;
    TRY(loader_int(l, "block_count", -1, 1, 4096, &c->n_layer));
    TRY(loader_int(l, "embedding_length", -1, 1, 1 << 20, &c->n_embd));
    bool own_width = model_file_find(l->file, loader_key(l, "expert_feed_forward_length").name) != NULL;
    TRY(loader_int(l, "feed_forward_length", own_width ? 1 : -1, 1, 1 << 22, &c->n_ff));
    TRY(read_experts(l));
    TRY(loader_int(l, "context_length", 2048, 1, 1 << 30, &c->n_ctx_train));
    TRY(read_heads_of(l));
    TRY(loader_float(l, "attention.layer_norm_rms_epsilon", 1e-5f, 0, 1, &c->norm_eps));
    TRY(loader_float(l, "attention.scale", 1.0f / sqrtf((float)c->head_dim), 1e-6f, 1e6f, &c->attn_scale));
    TRY(loader_float(l, "attn_logit_softcapping", 0, 0, 1e6f, &c->attn_softcap));
    TRY(loader_float(l, "final_logit_softcapping", 0, 0, 1e6f, &c->logit_softcap));
    TRY(loader_int(l, "attention.sliding_window", 0, 0, 1 << 30, &c->window));
    l->halves = d->halves;
    TRY(mf_bool(l->file, loader_key(l, "rope.halves").name, &l->halves, NULL, l->err));
    c->act = d->act;
    c->embd_scale = d->embd_scaled ? sqrtf((float)c->n_embd) : 1;
    c->n_ctx_text = c->n_ctx_train;
    TRY(loader_pooling(l, LATHE_POOL_LAST));
    TRY(refuse(l));
    return read_rope(l, d);
}

int decoder_slides(struct loader *l, const struct decoder *d, bool *slides)
{
    const struct model_config *c = &l->model->config;
    struct loader_key k = loader_key(l, "attention.sliding_window_pattern");
    const struct mf_meta *m = model_file_find(l->file, k.name);
    int period = d->window_period, full_at = d->full_at;
    if (m && m->kind == MF_ARRAY) {
        int32_t *v;
        uint64_t n;
        TRY(mf_i32s(l->file, k.name, &v, &n, l->err));
        for (int i = 0; i < c->n_layer && n == (uint64_t)c->n_layer; i++)
            slides[i] = c->window > 0 && v[i] != 0;
        free(v);
        return n == (uint64_t)c->n_layer
                   ? 0
                   : err_set(l->err, LATHE_E_FILE, "metadata %s has %llu entries, the model %d layers",
                             k.name, (unsigned long long)n, c->n_layer);
    }
    if (m) {
        TRY(loader_int(l, "attention.sliding_window_pattern", 0, 0, 4096, &period));
        full_at = period - 1;
    }
    for (int i = 0; i < c->n_layer; i++)
        slides[i] = c->window > 0 && !(period > 0 && i % period == full_at);
    return 0;
}
