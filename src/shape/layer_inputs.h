/* The inputs of a layer's products, and which matrices read each. */
#ifndef LATHE_SHAPE_LAYER_INPUTS_H
#define LATHE_SHAPE_LAYER_INPUTS_H
#include "model/pass.h"

struct layer_input {
    enum pass_product product;
    int expert; /* -1: none */
    int n_col, n_w;
    struct matrix *w[3];
};

/* Most inputs of a layer of the model. */
int layer_inputs_most(const struct lathe_model *m);
/* Fills `out`; returns how many. What routes is not among them: it is not quantized. */
int layer_inputs(struct lathe_model *m, int layer, struct layer_input *out);
/* "blk.3.attn_q.weight", and which matrix of that tensor w is. */
const char *layer_input_tensor(const struct matrix *w, int *n_mat, int *k);
#endif
