/* What a quantization notes in its work (work.h), and what it knows again from there. */
#ifndef LATHE_SHAPE_RESUME_H
#define LATHE_SHAPE_RESUME_H
#include "format/imatrix.h"
#include "shape/calib.h"
#include "shape/made.h"
#include "shape/sensitivity.h"

/* The work of OUT `to`, found again if everything that the result depends on is the same: the model's files, options, the types of
 * its tensors, the texts. That another was begun there is noted to the caller. */
int resume_open(const struct lathe_quantize_options *o, const struct model_file *f,
                const struct format *const *type, uint32_t file_type, const char *to, struct work **out,
                struct lathe_err *err);

/* How far the layers are. */
struct resume_layers {
    int32_t n_done, n_layer; /* 0: of a run that has none */
    int32_t half, n_ctx;     /* of the calibration */
    int64_t n_token;
};

/* What is told again, in the order in which it was noted. */
struct resume_told {
    void (*error)(void *user, uint64_t tensor, double error, double plain);
    void (*count)(void *user, double error, double plain);
    void (*vector)(void *user, uint64_t tensor, const float *v, size_t n);
    void (*order)(void *user, uint64_t tensor, const int *order, size_t n);
    struct imatrix *importance; /* what was summed is added to it; NULL: there is none */
    struct made *made;          /* what it has; NULL: nothing */
    void *user;
};
/* Reads the notes of layers. FILE if they are not of this model. */
int resume_layers(const struct work *w, const struct resume_told *told, struct resume_layers *out,
                  struct lathe_err *err);

void resume_note_error(struct work *w, uint64_t tensor, double error, double plain);
void resume_note_count(struct work *w, double error, double plain);
void resume_note_vector(struct work *w, uint64_t tensor, const float *v, size_t n);
void resume_note_order(struct work *w, uint64_t tensor, const int *order, size_t n);
/* Of the entries of `m` from `first` on. */
void resume_note_importance(struct work *w, const struct imatrix *m, int first);
/* made: may be NULL. */
void resume_note_layer(struct work *w, struct made *made, const struct resume_layers *at);

/* What a target has measured: what each tensor matters, and the divergence of each file that was made. */
struct resume_target {
    void (*measured)(void *user, uint64_t tensor, const struct sensitivity *v);
    void (*judged)(void *user, double kl);
    void *user;
};
int resume_target(const struct work *w, const struct resume_target *t, struct lathe_err *err);
int resume_note_measured(struct work *w, uint64_t tensor, const struct sensitivity *v, struct lathe_err *err);
int resume_note_judged(struct work *w, double kl, struct lathe_err *err);

/* Tensors that were written, 0 .. n - 1: their sums of squares, as they are told to `tensor`. */
int resume_tensors(const struct work *w, void (*tensor)(void *user, uint64_t i, double error, double value),
                   void *user, uint64_t *n, struct lathe_err *err);
/* Bytes [first, end) of the file are tensor i. */
int resume_note_tensor(struct work *w, uint64_t i, uint64_t first, uint64_t end, double error, double value,
                       struct lathe_err *err);
#endif
