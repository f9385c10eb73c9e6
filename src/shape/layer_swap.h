/* What a layer is computed with while a method is at it: matrices as they were rounded, norms that scales were folded into. */
#ifndef LATHE_SHAPE_LAYER_SWAP_H
#define LATHE_SHAPE_LAYER_SWAP_H
#include "model/model.h"

struct layer_swap {
    const struct lathe_model *model;
    const char *folder;
    struct swapped_matrix {
        struct matrix *w, was, now; /* w: NULL as long as its panels are made */
        void *panels;
        size_t n_bytes;
    } * matrix;
    struct swapped_vector {
        const float **v, *was;
        float *now;
    } vector[2];
    int n_matrix, n_vector;
};

/* Room for n_matrix matrices and two vectors; panels lie in files without name in `folder`, which are mapped. */
void layer_swap_init(struct layer_swap *s, const struct lathe_model *m, int n_matrix, const char *folder);
void layer_swap_free(struct layer_swap *s);
/* Room for panels of w as `type`, which is the swap's; for the next layer_swap_matrix. IO. */
int layer_swap_room(struct layer_swap *s, const struct matrix *w, const struct format *type, uint8_t **panels,
                    struct lathe_err *err);
/* From layer_swap_apply on w is computed with the panels of `type` that were made in that room. Not at once: what is still to be looked at
 * reads what comes out of w as it is, in however many rounds that is done. */
int layer_swap_matrix(struct layer_swap *s, struct matrix *w, const struct format *type,
                      struct lathe_err *err);
void layer_swap_apply(struct layer_swap *s);
/* *v becomes `now`, which is the swap's. */
void layer_swap_vector(struct layer_swap *s, const float **v, float *now);
/* Everything is again as it was. */
void layer_swap_back(struct layer_swap *s);
#endif
