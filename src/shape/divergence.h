/* How far the answers of one model are from those of another, over a text. */
#ifndef LATHE_SHAPE_DIVERGENCE_H
#define LATHE_SHAPE_DIVERGENCE_H
#include "shape/calib.h"

/* The mean Kullback-Leibler divergence, in nats, of the model at `path` from that at `reference`, over all positions of the text's chunks;
 * both as they run, with quantized activations where they have blocks. */
int divergence_measure(const char *reference, const char *path, const struct calib_options *o,
                       struct pool *pool, double *out, struct lathe_err *err);
#endif
