/* How far a quantization is, over all of its stages: laying out weights, taking a text through the layers, writing. */
#ifndef LATHE_SHAPE_STAGES_H
#define LATHE_SHAPE_STAGES_H
#include "format/model_file.h"

struct stages {
    const struct lathe_quantize_options *o;
    double layout, layers, writing; /* shares of the time, 1 together */
};

struct stages stages_of(const struct lathe_quantize_options *o, const struct model_file *f);
/* progress callback; `user` is the struct stages, `share` that of the stage which is called `what`. */
void stages_progress(void *user, const char *what, double share);
#endif
