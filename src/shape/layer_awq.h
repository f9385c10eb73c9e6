/* AWQ over all layers. */
#ifndef LATHE_SHAPE_LAYER_AWQ_H
#define LATHE_SHAPE_LAYER_AWQ_H
#include "shape/calib.h"
#include "shape/layer_inputs.h"
#include "shape/made.h"

struct by_layer_awq {
    bool compare;       /* measure the error of the products, on a sample of their inputs */
    bool pairs;         /* as in layer_input_written_row */
    const char *folder; /* for files without name */
    layer_input_type_fn *type;
    /* A matrix is done: relative errors of its product, and by rounding alone. May be NULL, as the next. */
    void (*done)(void *user, const char *tensor, double error, double plain);
    /* All matrices that read one input are done, which share its scales: the errors of their products together. */
    void (*input_done)(void *user, double error, double plain);
    /* v[n], a norm that takes over the scales of the columns behind it, becomes what of it the file can hold. NULL: all of it. */
    void (*hold)(void *user, const char *tensor, float *v);
    /* A norm took over the scales of the columns behind it: v[n] is what is to be written. */
    void (*vector)(void *user, const char *tensor, const float *v, int n);
    void *user;
};

/* Scales columns, folds the scales into what is in front of them, and rounds; each layer with the inputs that the layers before it,
 * rounded already, give it. Rows go to `made`. */
int by_layer_awq(struct calib *c, const struct by_layer_awq *o, struct pool *pool, struct made *made,
                 struct lathe_err *err);
#endif
