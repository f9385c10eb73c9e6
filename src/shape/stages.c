/* Shares of the stages from what each costs for a weight, measured on SmolLM2-135M with two threads of a Xeon (Sapphire Rapids class):
 * a machine that is faster is so in all of them alike. */
#include "shape/stages.h"
#include <string.h>

static const double layout_ns = 3, write_ns = 22, copy_ns = 1;
static const struct {
    double weight_ns, token_ns; /* of rounding a weight, and of a token that goes through it */
} layer[] = {[LATHE_QUANTIZE_ROUND] = {0, 0.004},
             [LATHE_QUANTIZE_GPTQ] = {100, 0.0085},
             [LATHE_QUANTIZE_AWQ] = {165, 0.008}};

struct stages stages_of(const struct lathe_quantize_options *o, const struct model_file *f)
{
    struct stages s = {.o = o};
    double n_token = (double)o->calib_tokens, n_layer = 0, n_other = 0;
    if ((double)o->n_calib_text / 4 < n_token)
        n_token = (double)o->n_calib_text / 4;
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++) {
        const struct mf_tensor *t = model_file_tensor(f, i);
        *(strncmp(t->name, "blk.", 4) == 0 ? &n_layer : &n_other) +=
            (double)t->dim[0] * (double)t->dim[1] * (double)t->dim[2];
    }
    bool made = o->calib_text && o->method != LATHE_QUANTIZE_ROUND;
    if (o->calib_text) {
        s.layout = layout_ns * (n_layer + n_other);
        s.layers = n_layer * (layer[o->method].weight_ns + layer[o->method].token_ns * n_token);
    }
    s.writing = write_ns * n_other + (made ? copy_ns : write_ns) * n_layer + 1;
    double all = s.layout + s.layers + s.writing;
    s.layout /= all;
    s.layers /= all;
    s.writing /= all;
    return s;
}

void stages_progress(void *user, const char *what, double share)
{
    const struct stages *s = user;
    double all;
    if (!s->o->progress)
        return;
    if (strcmp(what, "laying out weights") == 0)
        all = s->layout * share;
    else if (strcmp(what, "writing") == 0)
        all = s->layout + s->layers + s->writing * share;
    else
        all = s->layout + s->layers * share;
    s->o->progress(s->o->user, what, all);
}
