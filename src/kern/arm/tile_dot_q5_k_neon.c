/* int8 tile of Q5_K panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q5_k_neon, form_Q5_K)
