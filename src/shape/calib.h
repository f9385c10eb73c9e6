/* Calibration: a text goes through the model layer by layer, and whoever changes weights sees what each product reads. Between two
 * layers the rows of all chunks lie in a file, so that memory does not grow with the text. */
#ifndef LATHE_SHAPE_CALIB_H
#define LATHE_SHAPE_CALIB_H
#include "model/pass.h"
#include "shape/work.h"

enum { CALIB_CTX = 512, CALIB_TOKENS = 65536 }; /* where nothing is asked for */

struct calib;

struct calib_options {
    const char *text; /* bytes of the text */
    size_t n_text;
    int n_ctx;         /* tokens of a chunk, each with the model's beginning-of-sequence token in front */
    int64_t n_token;   /* most to take, in whole chunks, evenly spread over the text */
    bool as_it_is;     /* floats stay floats */
    bool has_logits;   /* pass_logits is asked for calib_n_out rows at a time */
    struct work *work; /* keeps the rows, and what of them is done; NULL: they are in a file without a name */
    int first, half;   /* layers that were done before, and where their rows were left (calib_half) */
    /* A layer is done: to note it in `work`. */
    void (*layer_done)(void *layer_user, struct calib *c, int layer);
    void *layer_user;
    const char *folder;    /* where the files of weights and rows go while they are needed */
    uint64_t memory_bytes; /* most that passes may take; 0: no bound */
    void (*progress)(void *user, const char *what, double share); /* may be NULL */
    void *user;
};

/* Opens the model at `path` with its weights laid out (f32, f16 and bf16 as q8_0: what is looked at are its activations). FILE if the text
 * is shorter than a chunk, LIMIT if the text or a chunk's passes take more than they may. */
int calib_new(const char *path, const struct calib_options *o, struct pool *pool, struct calib **out,
              struct lathe_err *err);
void calib_free(struct calib *c);
/* The model, whose layers the caller may change (pass_layer_changed of the pass). */
struct lathe_model *calib_model(struct calib *c);
struct pass *calib_pass(struct calib *c);
void calib_progress(const struct calib *c, const char *what, double share);
int calib_ctx(const struct calib *c); /* tokens of a chunk */
/* With logits as many as are fast, or less where they took more than a share of the memory; else one. */
int calib_n_out(const struct calib *c);
int64_t calib_n_token(const struct calib *c); /* that are taken */
/* The first layer that is to be done. */
int calib_first(const struct calib *c);
int calib_half(const struct calib *c);
/* All that is to be done with a layer is done: from here on it need not be done again. */
int calib_layer_done(struct calib *c, int layer, struct lathe_err *err);
/* Takes all chunks through a layer; `next`: their rows go on to the next one. Layers in ascending order, each any number of times
 * without `next` and then once with it. */
int calib_layer(struct calib *c, int layer, bool next, pass_tap_fn *tap, void *user, struct lathe_err *err);
/* Told of the rows of a chunk (pass_rows of the pass), which are the tokens ids[calib_ctx]. */
typedef void calib_rows_fn(void *user, const int32_t *ids);
/* Takes one chunk from a layer, that which calib_layer would take next, through all that follow; its rows are told before, where they may
 * be changed (`before` may be NULL), are the pass's afterwards, and kept nowhere. */
int calib_rest(struct calib *c, int chunk, int layer, calib_rows_fn *before, void *user,
               struct lathe_err *err);
#endif
