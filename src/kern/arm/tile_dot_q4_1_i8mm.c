/* int8 tile of Q4_1 panels for NEON with matrix products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q4_1_i8mm, tile_dot_q4_1_dotprod, form_Q4_1)
