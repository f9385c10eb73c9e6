/* int8 tile of Q4_0 panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q4_0_neon, form_Q4_0)
