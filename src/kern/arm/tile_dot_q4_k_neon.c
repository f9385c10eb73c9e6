/* int8 tile of Q4_K panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q4_k_neon, form_Q4_K)
