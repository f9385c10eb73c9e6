/* Mixture of experts (Shazeer et al. 2017; Jiang et al. 2024): of each row's experts the weights are read once for all rows of
 * the batch that chose them. */
#ifndef LATHE_MODEL_EXPERTS_H
#define LATHE_MODEL_EXPERTS_H
#include "model/pass.h"

struct pass;
struct experts;
struct matmul;

/* Its buffers; counted alone where the pass counts. NULL for a model without experts. */
int experts_new(struct pass *p, struct experts **out, struct lathe_err *err);
void experts_free(struct experts *x);
/* Weights of experts that have been read: each that rows chose, once a pass and layer. */
uint64_t experts_bytes_read(const struct experts *x);
/* Adds the feed-forward of a layer with experts for n_row rows: x += sum over the chosen of weight * expert(norm(x)). */
void experts_add(struct experts *x, int layer, int n_row);
/* Of a layer: the product that chooses experts. */
struct matmul *experts_router(struct experts *x, int layer);
/* After a run of experts_add with the normalized rows in the pass's norm: what each expert's two products read. */
void experts_show(struct experts *x, pass_tap_fn *tap, void *user);
#endif
