/* What decoder-only architectures have in common: one reader of configuration and layers, told what is particular. */
#ifndef LATHE_MODEL_DECODER_H
#define LATHE_MODEL_DECODER_H
#include "model/model.h"

struct decoder {
    bool halves;      /* in GGUF the pairs that rotate are i and i + n_rot / 2, not neighbours */
    bool qk_norm;     /* queries and keys are normalized, head by head, before they rotate */
    bool post_norm;   /* what attention and feed-forward add is normalized first */
    bool sinks;       /* every head has a logit for attending to nothing */
    bool fused;       /* q, k, v are one tensor, gate and up another */
    bool embd_scaled; /* embeddings are multiplied by sqrt(n_embd) */
    enum ffn_act act;
    int window_period; /* every so many-th layer sees everything, the others the window; 0: none does. Without a
                          window in the file all see everything */
    int full_at;       /* index of the first of them */
    bool yarn_exact;   /* YaRN's ramp is not rounded to whole dimensions */
    const char *ffn_norm; /* the tensor's name; NULL: ffn_norm */
    float local_base;     /* of the rotary frequencies in layers with a window; 0: as in the others */
};

/* Reads metadata under the architecture's name and declares all tensors. */
int decoder_load(struct loader *l, const struct decoder *d);

/* decoder_config.c: fills model->config and the rotary frequencies. */
int decoder_config(struct loader *l, const struct decoder *d);
/* Whether layer i attends to a window only. */
int decoder_slides(struct loader *l, const struct decoder *d, bool *slides);
#endif
