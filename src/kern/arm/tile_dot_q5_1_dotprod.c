/* int8 tile of Q5_1 panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q5_1_dotprod, form_Q5_1)
