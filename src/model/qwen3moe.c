/* qwen3moe (Yang et al. 2025): qwen3 with experts. */
#include "model/decoder.h"

int qwen3moe_load(struct loader *l)
{
    static const struct decoder d = {.halves = true, .qk_norm = true, .act = ACT_SILU};
    return decoder_load(l, &d);
}
