/* int8 tile of Q2_K panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q2_k_neon, form_Q2_K)
