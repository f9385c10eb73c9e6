/* int8 tile of Q5_0 panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q5_0_dotprod, form_Q5_0)
