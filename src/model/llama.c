/* llama (Touvron et al. 2023) and what is built alike: mistral, whose layers may all have a window (Jiang et al. 2023), and mixtral, with experts (Jiang et al. 2024). */
#include "model/decoder.h"

int llama_load(struct loader *l)
{
    static const struct decoder d = {.act = ACT_SILU};
    return decoder_load(l, &d);
}
