/* A row for each product of a dense layer; experts have two each. */
#include "shape/layer_inputs.h"

int layer_inputs_most(const struct lathe_model *m)
{
    return 4 + 2 * m->config.n_expert;
}

static int add(struct layer_input *out, int n, enum pass_product product, int expert, struct matrix *a,
               struct matrix *b, struct matrix *c)
{
    out[n] = (struct layer_input){.product = product, .expert = expert, .n_col = a->n_col};
    struct matrix *all[] = {a, b, c};
    for (int i = 0; i < 3; i++)
        if (all[i])
            out[n].w[out[n].n_w++] = all[i];
    return n + 1;
}

int layer_inputs(struct lathe_model *m, int layer, struct layer_input *out)
{
    struct model_layer *y = &m->layers[layer];
    int n = add(out, 0, PASS_QKV, -1, &y->q, &y->k, &y->v);
    n = add(out, n, PASS_O, -1, &y->o, NULL, NULL);
    if (!y->moe) {
        n = add(out, n, PASS_GATE_UP, -1, &y->up, m->config.encoder ? NULL : &y->gate, NULL);
        return add(out, n, PASS_DOWN, -1, &y->down, NULL, NULL);
    }
    for (int e = 0; e < m->config.n_expert; e++) {
        struct expert *x = &y->moe->expert[e];
        n = add(out, n, PASS_EXPERT_GATE_UP, e, &x->gate, &x->up, NULL);
        n = add(out, n, PASS_EXPERT_DOWN, e, &x->down, NULL, NULL);
    }
    return n;
}

int layer_inputs_find(const struct layer_input *inputs, int n, enum pass_product product, int expert)
{
    for (int i = 0; i < n; i++)
        if (inputs[i].product == product && inputs[i].expert == expert)
            return i;
    return -1;
}

const char *layer_input_tensor(const struct matrix *w, int *n_mat, int *k)
{
    const struct mf_tensor *t = w->tensor;
    *n_mat = (int)t->dim[2];
    *k = (int)(matrix_first_row(w) / (int64_t)t->dim[1]);
    return t->name;
}

const struct format *layer_input_type(layer_input_type_fn *type, void *user, const struct matrix *w)
{
    int n_mat, k;
    const struct format *f = type(user, layer_input_tensor(w, &n_mat, &k));
    return f && f->block_n > 1 && w->n_col % f->block_n == 0 ? f : NULL;
}

int64_t layer_input_written_row(const struct matrix *w, bool pairs, int r)
{
    if (!w->n_half || pairs)
        return r;
    return (int64_t)mf_half_row((uint64_t)r, (uint64_t)w->head_dim, (uint64_t)w->n_half);
}

void layer_inputs_importance(const struct layer_input *inputs, int n, struct imatrix *out,
                             enum pass_product product, int expert, const float *x, int64_t stride, int n_row,
                             int n_col)
{
    int at = layer_inputs_find(inputs, n, product, expert);
    for (int i = 0; at >= 0 && i < inputs[at].n_w; i++) {
        int n_mat, k;
        const char *name = layer_input_tensor(inputs[at].w[i], &n_mat, &k);
        imatrix_add(out, name, n_mat, k, x, stride, n_row, n_col);
    }
}
