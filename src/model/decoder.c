/* A decoder-only transformer: grouped-query attention with rotary positions, gated feed-forward, RMS norms (Touvron et al.
 * 2023), and what other families add to that. */
#include <stdlib.h>
#include "model/decoder.h"

/* q, k, v of a layer: three tensors, or ranges of one. */
static int load_qkv(struct loader *l, const struct decoder *d, int i)
{
    const struct model_config *c = &l->model->config;
    struct model_layer *y = &l->model->layers[i];
    int q_dim = c->n_head * c->head_dim, kv_dim = c->n_head_kv * c->head_dim;
    struct matrix *m[] = {&y->q, &y->k, &y->v};
    static const char *const names[] = {"attn_q", "attn_k", "attn_v"};
    int rows[] = {q_dim, kv_dim, kv_dim}, first = 0;
    for (int j = 0; j < 3; j++) {
        if (d->fused)
            TRY(loader_rows(l, m[j], (struct row_range){first, rows[j], q_dim + 2 * kv_dim}, c->n_embd,
                            "blk.%d.attn_qkv", i));
        else
            TRY(loader_matrix(l, m[j], rows[j], c->n_embd, "blk.%d.%s", i, names[j]));
        if (j < 2 && l->halves)
            loader_halves(l, c->head_dim, c->n_rot);
        l->sharer = &y->q;
        first += rows[j];
    }
    l->sharer = NULL;
    if (!d->qk_norm)
        return 0;
    TRY(loader_head_norm(l, &y->q_norm, "blk.%d.attn_q_norm.weight", i));
    return loader_head_norm(l, &y->k_norm, "blk.%d.attn_k_norm.weight", i);
}

static int load_ffn(struct loader *l, const struct decoder *d, int i)
{
    const struct model_config *c = &l->model->config;
    struct model_layer *y = &l->model->layers[i];
    if (d->fused) {
        TRY(loader_rows(l, &y->gate, (struct row_range){0, c->n_ff, 2 * c->n_ff}, c->n_embd, "blk.%d.ffn_up",
                        i));
        l->sharer = &y->gate;
        TRY(loader_rows(l, &y->up, (struct row_range){c->n_ff, c->n_ff, 2 * c->n_ff}, c->n_embd,
                        "blk.%d.ffn_up", i));
    } else {
        TRY(loader_matrix(l, &y->gate, c->n_ff, c->n_embd, "blk.%d.ffn_gate", i));
        l->sharer = &y->gate;
        TRY(loader_matrix(l, &y->up, c->n_ff, c->n_embd, "blk.%d.ffn_up", i));
    }
    l->sharer = NULL;
    loader_interleave(l);
    return loader_matrix(l, &y->down, c->n_embd, c->n_ff, "blk.%d.ffn_down", i);
}

static int load_experts(struct loader *l, int i)
{
    const struct model_config *c = &l->model->config;
    struct moe *m = arena_alloc(&l->model->arena, sizeof *m);
    l->model->layers[i].moe = m;
    m->expert = arena_alloc(&l->model->arena, (size_t)c->n_expert * sizeof *m->expert);
    TRY(loader_matrix(l, &m->router, c->n_expert, c->n_embd, "blk.%d.ffn_gate_inp", i));
    for (int e = 0; e < c->n_expert; e++) {
        struct row_range inner = {e * c->n_ff, c->n_ff, c->n_expert * c->n_ff},
                         outer = {e * c->n_embd, c->n_embd, c->n_expert * c->n_embd};
        TRY(loader_rows(l, &m->expert[e].gate, inner, c->n_embd, "blk.%d.ffn_gate_exps", i));
        TRY(loader_rows(l, &m->expert[e].up, inner, c->n_embd, "blk.%d.ffn_up_exps", i));
        loader_interleave(l);
        TRY(loader_rows(l, &m->expert[e].down, outer, c->n_ff, "blk.%d.ffn_down_exps", i));
    }
    return 0;
}

static int load_layer(struct loader *l, const struct decoder *d, int i)
{
    const struct model_config *c = &l->model->config;
    struct model_layer *y = &l->model->layers[i];
    TRY(loader_vector(l, &y->attn_norm, c->n_embd, true, "blk.%d.attn_norm.weight", i));
    TRY(loader_vector(l, &y->ffn_norm, c->n_embd, true, "blk.%d.%s.weight", i,
                      d->ffn_norm ? d->ffn_norm : "ffn_norm"));
    TRY(loader_vector(l, &y->sinks, c->n_head, d->sinks, "blk.%d.attn_sinks.weight", i));
    if (d->post_norm) {
        TRY(loader_vector(l, &y->attn_post_norm, c->n_embd, true, "blk.%d.post_attention_norm.weight", i));
        TRY(loader_vector(l, &y->ffn_post_norm, c->n_embd, true, "blk.%d.post_ffw_norm.weight", i));
    }
    TRY(load_qkv(l, d, i));
    TRY(loader_matrix(l, &y->o, c->n_embd, c->n_head * c->head_dim, "blk.%d.attn_output", i));
    return c->n_expert ? load_experts(l, i) : load_ffn(l, d, i);
}

static int load_layers(struct loader *l, const struct decoder *d)
{
    struct lathe_model *m = l->model;
    int n = m->config.n_layer;
    uint64_t least = d->fused ? 6 : 9; /* tensors of a layer */
    if ((uint64_t)n > model_file_n_tensor(l->file) / least)
        return err_set(l->err, LATHE_E_FILE, "%s.block_count is %d, the file has only %llu tensors",
                       m->architecture, n, (unsigned long long)model_file_n_tensor(l->file));
    m->layers = arena_alloc(&m->arena, (size_t)n * sizeof *m->layers);
    bool *slides = arena_alloc(&m->arena, (size_t)n * sizeof *slides);
    TRY(decoder_slides(l, d, slides));
    for (int i = 0; i < n; i++) {
        m->layers[i].window = slides[i] ? m->config.window : 0;
        m->layers[i].rope = slides[i] && d->local_base > 0 ? ROPE_LOCAL : ROPE_GLOBAL;
        TRY(load_layer(l, d, i));
    }
    return 0;
}

int decoder_load(struct loader *l, const struct decoder *d)
{
    struct lathe_model *m = l->model;
    TRY(decoder_config(l, d));
    TRY(loader_vocabulary(l));
    l->gathers = true;
    TRY(load_layers(l, d));
    l->gathers = false;
    TRY(loader_vector(l, &m->output_norm, m->config.n_embd, true, "output_norm.weight"));
    m->tied = !model_file_tensor_find(l->file, "output.weight");
    m->head = m->tied ? &m->embd : &m->head_own;
    if (m->tied)
        return loader_matrix(l, &m->embd, m->config.n_vocab, m->config.n_embd, "token_embd");
    TRY(loader_embedding(l, &m->embd, m->config.n_vocab, m->config.n_embd, "token_embd"));
    return loader_matrix(l, &m->head_own, m->config.n_vocab, m->config.n_embd, "output");
}
