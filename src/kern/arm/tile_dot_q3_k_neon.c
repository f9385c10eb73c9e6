/* int8 tile of Q3_K panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q3_k_neon, form_Q3_K)
