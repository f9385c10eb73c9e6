/* int8 tile of TQ2_0 panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_tq2_0_neon, form_TQ2_0)
