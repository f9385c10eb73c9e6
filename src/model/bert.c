/* bert (Devlin et al. 2018): an encoder. Norms come after what is added, positions and kinds of text are looked up, attention goes
 * both ways, the feed-forward has no gate. On top there may be a classifier, as cross-encoders have one. */
#include <math.h>
#include "model/model.h"

static int read_activation(struct loader *l)
{
    struct str act = STR("gelu");
    TRY(mf_str(l->file, "bert.hidden_activation", &act, NULL, l->err));
    bool tanh = str_is(act, "gelu_new") || str_is(act, "gelu_pytorch_tanh") || str_is(act, "gelu_fast");
    l->model->config.act = tanh ? ACT_GELU_TANH : ACT_GELU;
    return tanh || str_is(act, "gelu")
               ? 0
               : err_set(l->err, LATHE_E_UNSUPPORTED,
                         "activation '" STR_FMT
                         "' cannot run; known: gelu gelu_new gelu_pytorch_tanh gelu_fast",
                         STR_ARG(act));
}

static int read_config(struct loader *l)
{
    struct model_config *c = &l->model->config;
    bool causal = false;
    TRY(loader_int(l, "block_count", -1, 1, 4096, &c->n_layer));
    TRY(loader_int(l, "embedding_length", -1, 1, 1 << 20, &c->n_embd));
    TRY(loader_int(l, "feed_forward_length", -1, 1, 1 << 22, &c->n_ff));
    TRY(loader_int(l, "context_length", -1, 1, 1 << 20, &c->n_ctx_train));
    TRY(loader_int(l, "max_sequence_length", c->n_ctx_train, 1, 1 << 30, &c->n_ctx_text));
    TRY(loader_int(l, "attention.head_count", -1, 1, 1 << 16, &c->n_head));
    TRY(loader_float(l, "attention.layer_norm_epsilon", 1e-12f, 0, 1, &c->norm_eps));
    TRY(mf_bool(l->file, "bert.attention.causal", &causal, NULL, l->err));
    if (causal)
        return err_set(l->err, LATHE_E_UNSUPPORTED, "bert.attention.causal is true, which cannot run");
    if (c->n_embd % c->n_head || c->n_embd / c->n_head > 1024)
        return err_set(l->err, LATHE_E_FILE, "embedding length %d is not that of %d heads of at most 1024",
                       c->n_embd, c->n_head);
    c->n_ctx_text = c->n_ctx_text < c->n_ctx_train ? c->n_ctx_text : c->n_ctx_train;
    c->n_head_kv = c->n_head;
    c->head_dim = c->n_embd / c->n_head;
    c->attn_scale = 1.0f / sqrtf((float)c->head_dim);
    c->embd_scale = 1;
    c->encoder = true;
    TRY(loader_pooling(l, LATHE_POOL_MEAN));
    return read_activation(l);
}

static int load_norm(struct loader *l, const float **w, const float **b, const char *name, int layer)
{
    int n = l->model->config.n_embd;
    TRY(loader_vector(l, w, n, true, "blk.%d.%s.weight", layer, name));
    return loader_vector(l, b, n, true, "blk.%d.%s.bias", layer, name);
}

static int load_layer(struct loader *l, int i)
{
    const struct model_config *c = &l->model->config;
    struct model_layer *y = &l->model->layers[i];
    TRY(loader_matrix(l, &y->q, c->n_embd, c->n_embd, "blk.%d.attn_q", i));
    TRY(loader_matrix(l, &y->k, c->n_embd, c->n_embd, "blk.%d.attn_k", i));
    TRY(loader_matrix(l, &y->v, c->n_embd, c->n_embd, "blk.%d.attn_v", i));
    TRY(loader_matrix(l, &y->o, c->n_embd, c->n_embd, "blk.%d.attn_output", i));
    TRY(load_norm(l, &y->attn_end_norm, &y->attn_end_bias, "attn_output_norm", i));
    TRY(loader_matrix(l, &y->up, c->n_ff, c->n_embd, "blk.%d.ffn_up", i));
    TRY(loader_matrix(l, &y->down, c->n_embd, c->n_ff, "blk.%d.ffn_down", i));
    return load_norm(l, &y->ffn_end_norm, &y->ffn_end_bias, "layer_output_norm", i);
}

static int load_embeddings(struct loader *l)
{
    struct lathe_model *m = l->model;
    const struct model_config *c = &m->config;
    const struct mf_tensor *types = model_file_tensor_find(l->file, "token_types.weight");
    TRY(loader_embedding(l, &m->embd, c->n_vocab, c->n_embd, "token_embd"));
    TRY(loader_embedding(l, &m->position, c->n_ctx_train, c->n_embd, "position_embd"));
    if (types && (types->dim[1] < 1 || types->dim[1] > 1 << 16))
        return err_set(l->err, LATHE_E_FILE, "token_types.weight has %llu rows",
                       (unsigned long long)types->dim[1]);
    if (types)
        TRY(loader_embedding(l, &m->token_type, (int)types->dim[1], c->n_embd, "token_types"));
    TRY(loader_vector(l, &m->embd_norm, c->n_embd, true, "token_embd_norm.weight"));
    return loader_vector(l, &m->embd_norm_bias, c->n_embd, true, "token_embd_norm.bias");
}

/* Other programs' files may have the last matrix of the classifier alone, under the name of the first. */
static int load_classifier(struct loader *l)
{
    struct lathe_model *m = l->model;
    struct model_config *c = &m->config;
    const struct mf_tensor *pooler = model_file_tensor_find(l->file, "cls.weight"),
                           *out = model_file_tensor_find(l->file, "cls.output.weight");
    if (c->pooling != LATHE_POOL_CLASSES && !out)
        return 0;
    if (!pooler || !out)
        return err_set(l->err, LATHE_E_FILE,
                       "tensor %s is missing: the classifier is not whole; convert the model's folder again",
                       pooler ? "cls.output.weight" : "cls.weight");
    if (out->dim[1] < 1 || out->dim[1] > 1 << 16)
        return err_set(l->err, LATHE_E_FILE, "cls.output.weight has %llu rows",
                       (unsigned long long)out->dim[1]);
    c->n_class = (int)out->dim[1];
    TRY(loader_matrix(l, &m->pooler, c->n_embd, c->n_embd, "cls"));
    return loader_matrix(l, &m->classifier, c->n_class, c->n_embd, "cls.output");
}

int bert_load(struct loader *l)
{
    struct lathe_model *m = l->model;
    TRY(read_config(l));
    TRY(loader_vocabulary(l));
    if ((uint64_t)m->config.n_layer > model_file_n_tensor(l->file) / 10)
        return err_set(l->err, LATHE_E_FILE, "bert.block_count is %d, the file has only %llu tensors",
                       m->config.n_layer, (unsigned long long)model_file_n_tensor(l->file));
    m->layers = arena_alloc(&m->arena, (size_t)m->config.n_layer * sizeof *m->layers);
    TRY(load_embeddings(l));
    for (int i = 0; i < m->config.n_layer; i++)
        TRY(load_layer(l, i));
    return load_classifier(l);
}
