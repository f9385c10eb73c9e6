/* int8 tile of Q5_0 panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q5_0_neon, form_Q5_0)
