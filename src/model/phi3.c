/* phi3 (Abdin et al. 2024): fused projections; two sets of rotary factors, of which a context longer than the original one
 * takes the long ones (LongRoPE, Ding et al. 2024). */
#include "model/decoder.h"

int phi3_load(struct loader *l)
{
    static const struct decoder d = {.halves = true, .fused = true, .act = ACT_SILU};
    return decoder_load(l, &d);
}
