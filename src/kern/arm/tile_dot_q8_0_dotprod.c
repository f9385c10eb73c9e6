/* int8 tile of Q8_0 panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q8_0_dotprod, form_Q8_0)
