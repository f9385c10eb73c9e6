/* How much each matrix of a model matters: what noise on it alone does to the model's answers. */
#ifndef LATHE_SHAPE_SENSITIVITY_H
#define LATHE_SHAPE_SENSITIVITY_H
#include "format/imatrix.h"
#include "shape/calib.h"

struct sensitivity {
    double divergence; /* mean, in nats, with noise on this tensor */
    double
        error; /* of its products with that noise: |W x - W' x|^2 / |W x|^2, columns of x taken as independent; 0: not measured */
    double floor; /* divergence without noise, which was taken off */
};

struct sensitivity_options {
    const struct calib_options *calib;
    const struct model_file *f;
    const bool *wanted; /* [tensor of f] */
    /* A tensor of f is measured, v[tensor] what it came to. */
    int (*measured)(void *user, uint64_t tensor, const struct sensitivity *v, struct lathe_err *err);
    void *user;
};

/* v[tensor of f], of those wanted whose error is not in it already; 0 where a tensor is none of the model's matrices. `importance` gets
 * that of their columns. UNSUPPORTED without an output head. */
int sensitivity_measure(const char *path, const struct sensitivity_options *o, struct pool *pool,
                        struct sensitivity *v, struct imatrix *importance, struct lathe_err *err);
#endif
