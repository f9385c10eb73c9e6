/* What a quantization knows of the inputs before it writes: importances, and rows that a method has made already. */
#ifndef LATHE_SHAPE_CALIBRATE_H
#define LATHE_SHAPE_CALIBRATE_H
#include "shape/by_layer.h"
#include "shape/layer_awq.h"
#include "shape/mix.h"

struct calibrated {
    /* The caller's. What is done is noted in `work`, and what was done before is taken from it; NULL: nothing is. */
    struct work *work;
    bool is_folder; /* what is written: rows stay in the model's order, and vectors in a type of its own */
    struct imatrix *importance; /* NULL: none */
    struct made *made;          /* NULL: nothing */
    float **vector;             /* [tensor of f]: what norms became, NULL: as they were; NULL: all of them */
    int **
        order; /* [tensor of f]: column k of a row that was made is column order[k] of the matrix; NULL: as they were */
    struct output_error {
        double error, plain;
    } * output; /* [tensor of f], where it was measured; NULL: not */
};

/* Into *out, of which what is the caller's is set. By the options' method, text and files. `type` is that of each tensor of f (NULL: stays), `from` where the model is, `to` what will be
 * written, beside which temporary files go. */
int calibrate(const struct lathe_quantize_options *o, const char *from, const char *to,
              const struct model_file *f, const struct format *const *type, struct pool *pool,
              struct calibrated *out, struct lathe_quantize_report *report, struct lathe_err *err);
/* USAGE names options that do not go together. */
int calibrate_check_options(const struct lathe_quantize_options *o, struct lathe_err *err);
/* NUMERIC names a weight that is no number, of the tensors that have a type: it would spoil the activations of all layers behind it, and
 * name none. */
int calibrate_check(const struct model_file *f, const struct format *const *type, struct lathe_err *err);
/* n_tensor: of f. */
void calibrated_free(struct calibrated *c, uint64_t n_tensor);
#endif
