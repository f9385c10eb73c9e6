/* int8 tile of Q6_K panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q6_k_neon, form_Q6_K)
