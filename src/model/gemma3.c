/* gemma3 (Gemma Team 2025), text: five layers with a window and rotary frequencies of their own to one without. */
#include "model/decoder.h"

int gemma3_load(struct loader *l)
{
    static const struct decoder d = {.halves = true,
                                     .qk_norm = true,
                                     .post_norm = true,
                                     .embd_scaled = true,
                                     .act = ACT_GELU_TANH,
                                     .window_period = 6,
                                     .full_at = 5,
                                     .local_base = 10000};
    return decoder_load(l, &d);
}
