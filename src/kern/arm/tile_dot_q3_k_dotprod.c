/* int8 tile of Q3_K panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q3_k_dotprod, form_Q3_K)
