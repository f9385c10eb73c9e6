/* int8 tile of Q2_K panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q2_k_dotprod, form_Q2_K)
