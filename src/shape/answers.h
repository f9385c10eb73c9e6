/* What a model answers at each position of a calibration text, to see how far a changed one is from it without computing all its logits:
 * tokens drawn from the distribution p, with their logits. Of another distribution q over the same tokens, with d the differences of
 * logits, the divergence is log E[e^d] - E[d] over tokens of p, whatever the normalizations are. */
#ifndef LATHE_SHAPE_ANSWERS_H
#define LATHE_SHAPE_ANSWERS_H
#include "shape/calib.h"
#include "shape/noise.h"

struct answers;

/* Takes the text through the model of a calibration with logits, whose layers have not gone on yet. UNSUPPORTED of one without an output head. */
int answers_new(struct calib *c, struct pool *pool, struct answers **out, struct lathe_err *err);
void answers_free(struct answers *a);
/* The mean divergence, in nats, of what comes out when the text goes on from `layer` with the model as it is now. `embedding`, `head`: the
 * noise on the rows of these (layer 0 then); NULL: none. NUMERIC if an answer is no number. */
int answers_divergence(struct answers *a, int layer, const struct noise *embedding, const struct noise *head,
                       double *out, struct lathe_err *err);
#endif
