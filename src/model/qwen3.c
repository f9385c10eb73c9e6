/* qwen3 (Yang et al. 2025): queries and keys are normalized. */
#include "model/decoder.h"

int qwen3_load(struct loader *l)
{
    static const struct decoder d = {.halves = true, .qk_norm = true, .act = ACT_SILU};
    return decoder_load(l, &d);
}
