/* int8 tile of Q4_K panels for NEON with matrix products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q4_k_i8mm, tile_dot_q4_k_dotprod, form_Q4_K)
