/* What every architecture reads of the metadata: numbers under its name, the vocabulary's size, pooling. */
#include <stdio.h>
#include "model/model.h"

struct loader_key loader_key(const struct loader *l, const char *name)
{
    struct loader_key k;
    snprintf(k.name, sizeof k.name, "%s.%s", l->model->architecture, name);
    return k;
}

int loader_int(struct loader *l, const char *name, int fallback, int lo, int hi, int *out)
{
    struct loader_key k = loader_key(l, name);
    uint32_t v = (uint32_t)fallback;
    bool has = false;
    TRY(mf_u32(l->file, k.name, &v, &has, l->err));
    if (!has && fallback < 0)
        return err_set(l->err, LATHE_E_FILE, "metadata %s is missing", k.name);
    if (v < (uint32_t)lo || v > (uint32_t)hi)
        return err_set(l->err, LATHE_E_FILE, "metadata %s is %u, expected %d..%d", k.name, v, lo, hi);
    *out = (int)v;
    return 0;
}

int loader_float(struct loader *l, const char *name, float fallback, float lo, float hi, float *out)
{
    struct loader_key k = loader_key(l, name);
    float v = fallback;
    TRY(mf_f32(l->file, k.name, &v, NULL, l->err));
    if (!(v >= lo && v <= hi))
        return err_set(l->err, LATHE_E_FILE, "metadata %s is %g, expected %g..%g", k.name, (double)v,
                       (double)lo, (double)hi);
    *out = v;
    return 0;
}

int loader_pooling(struct loader *l, enum lathe_pooling fallback)
{
    int type;
    TRY(loader_int(l, "pooling_type", (int)fallback, 0, LATHE_POOL_CLASSES, &type));
    l->model->config.pooling = type ? (enum lathe_pooling)type : fallback;
    return 0;
}

int loader_vocabulary(struct loader *l)
{
    struct lathe_model *m = l->model;
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
    return 0;
}
