/* int8 tile of Q5_K panels for NEON with matrix products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q5_k_i8mm, tile_dot_q5_k_dotprod, form_Q5_K)
