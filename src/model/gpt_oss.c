/* gpt-oss (OpenAI 2025): experts with biases and a clamped gate, sinks, every second layer a window. */
#include "model/decoder.h"

int gpt_oss_load(struct loader *l)
{
    static const struct decoder d = {.halves = true,
                                     .sinks = true,
                                     .act = ACT_SWIGLU_CLAMPED,
                                     .window_period = 2,
                                     .full_at = 1,
                                     .yarn_exact = true,
                                     .ffn_norm = "post_attention_norm"};
    return decoder_load(l, &d);
}
