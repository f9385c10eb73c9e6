/* int8 tile of Q6_K panels for NEON with matrix products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q6_k_i8mm, tile_dot_q6_k_dotprod, form_Q6_K)
