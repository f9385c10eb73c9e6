/* qwen2 (Yang et al. 2024): biases of q, k, v, which the loader takes where the file has them. */
#include "model/decoder.h"

int qwen2_load(struct loader *l)
{
    static const struct decoder d = {.halves = true, .act = ACT_SILU};
    return decoder_load(l, &d);
}
