/* The inputs of a layer's products, and which matrices read each. */
#ifndef LATHE_SHAPE_LAYER_INPUTS_H
#define LATHE_SHAPE_LAYER_INPUTS_H
#include "format/imatrix.h"
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
/* Which of inputs[n] a product of an expert (-1: of none) is; -1: it is not among them. */
int layer_inputs_find(const struct layer_input *inputs, int n, enum pass_product product, int expert);
/* What a tap was shown of inputs[n], to the importances of the matrices that read it. */
void layer_inputs_importance(const struct layer_input *inputs, int n, struct imatrix *out,
                             enum pass_product product, int expert, const float *x, int64_t stride, int n_row,
                             int n_col);
/* "blk.3.attn_q.weight", and which matrix of that tensor w is. */
const char *layer_input_tensor(const struct matrix *w, int *n_mat, int *k);
/* The format that a tensor gets; NULL: it stays as it is. */
typedef const struct format *layer_input_type_fn(void *user, const char *tensor);
/* The format of blocks that w is rounded to; NULL: it is not. */
const struct format *layer_input_type(layer_input_type_fn *type, void *user, const struct matrix *w);
/* Where row r of w is in the tensor that is written, from that of the matrix on. pairs: rows of queries and keys are written as rotary
 * pairs and not as the model's file has them. */
int64_t layer_input_written_row(const struct matrix *w, bool pairs, int r);
#endif
