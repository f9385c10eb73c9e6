/* Methods that look at the inputs: importances of columns for all matrices, and GPTQ. */
#ifndef LATHE_SHAPE_BY_LAYER_H
#define LATHE_SHAPE_BY_LAYER_H
#include "format/imatrix.h"
#include "shape/calib.h"
#include "shape/layer_inputs.h"
#include "shape/made.h"

/* Takes the calibration text through the model as it is; imatrix_done is the caller's. */
int by_layer_importance(struct calib *c, struct imatrix *out, struct lathe_err *err);

struct by_layer_gptq {
    double damping;        /* share of the mean of the diagonal */
    uint64_t memory_bytes; /* of second moments that are held at a time */
    const char *folder;    /* for files of those that are larger */
    bool compare;          /* measure rounding alone too */
    bool
        pairs; /* rows of queries and keys are written as rotary pairs and not as the model's file has them */
    layer_input_type_fn *type;
    /* Not NULL: columns are sorted (gptq.h), but those of experts, and a tensor's row k is column order[k] of the matrix. */
    void (*order)(void *user, const char *tensor, const int *order, int n);
    /* A matrix is done: relative errors of its product, |W x - Q x|^2 / |W x|^2. May be NULL. */
    void (*done)(void *user, const char *tensor, double error, double plain);
    void *user;
};

/* Rounds the matrices of all layers, each with the inputs that the layers before it, rounded already, give it; their rows go to `made`.
 * Columns that no block can be made of are left to others. */
int by_layer_gptq(struct calib *c, const struct by_layer_gptq *o, struct pool *pool, struct made *made,
                  struct lathe_err *err);
#endif
