/* Rows that were made before they are written: encoded tensors in a file that goes with them. */
#ifndef LATHE_SHAPE_MADE_H
#define LATHE_SHAPE_MADE_H
#include "format/model_file.h"
#include "quant/format.h"
#include "shape/work.h"

struct made;

/* For tensors of f that will be of `type` (NULL: not among them); the file is that of `work`, or without one in `folder`. IO if there
 * is no room for it. */
int made_new(const struct model_file *f, const struct format *const *type, const char *folder,
             struct work *work, struct made **out, struct lathe_err *err);
void made_free(struct made *m);
/* Rows first .. of all matrices of a tensor, *row_bytes apart, to be written; NULL if it is not among them. From any thread. */
uint8_t *made_rows(struct made *m, const char *tensor, int64_t first, size_t *row_bytes);
/* Every row of a matrix of the tensor was written: n rows from `first` on. */
void made_done(struct made *m, const char *tensor, int64_t n);
/* Vouches for what was made since the last call: `told` hears of n rows of tensor i in all. */
void made_vouch(struct made *m, void (*told)(void *user, uint64_t i, int64_t n), void *user);
/* n rows of tensor i are there from before; false if it cannot be. */
bool made_take_up(struct made *m, uint64_t i, int64_t n);
/* The rows from `first` on of tensor i, if all of them were made; else NULL. */
const uint8_t *made_find(const struct made *m, uint64_t i, int64_t first);
#endif
