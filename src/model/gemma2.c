/* gemma2 (Gemma Team 2024): every second layer has a window, scores and logits are capped. */
#include "model/decoder.h"

int gemma2_load(struct loader *l)
{
    static const struct decoder d = {.halves = true,
                                     .post_norm = true,
                                     .embd_scaled = true,
                                     .act = ACT_GELU_TANH,
                                     .window_period = 2,
                                     .full_at = 1};
    return decoder_load(l, &d);
}
