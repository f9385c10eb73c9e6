/* int8 tile of Q8_0 panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_q8_0_neon, form_Q8_0)
