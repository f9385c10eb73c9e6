/* What a layer is computed with while a method is at it: matrices as they were rounded, norms that scales were folded into. */
#ifndef LATHE_SHAPE_LAYER_SWAP_H
#define LATHE_SHAPE_LAYER_SWAP_H
#include "model/model.h"

struct layer_swap {
    const struct lathe_model *model;
    struct swapped_matrix {
        struct matrix *w, was, now;
        uint8_t *panels;
    } * matrix;
    struct swapped_vector {
        const float **v, *was;
        float *now;
    } vector[2];
    int n_matrix, n_vector;
};

/* Room for n_matrix matrices and two vectors. */
void layer_swap_init(struct layer_swap *s, const struct lathe_model *m, int n_matrix);
void layer_swap_free(struct layer_swap *s);
/* From layer_swap_apply on w is computed with these panels of `type`, which become the swap's. Not at once: what is still to be looked at
 * reads what comes out of w as it is, in however many rounds that is done. */
int layer_swap_matrix(struct layer_swap *s, struct matrix *w, const struct format *type, uint8_t *panels,
                      struct lathe_err *err);
void layer_swap_apply(struct layer_swap *s);
/* *v becomes `now`, which is the swap's. */
void layer_swap_vector(struct layer_swap *s, const float **v, float *now);
/* Everything is again as it was. */
void layer_swap_back(struct layer_swap *s);
#endif
