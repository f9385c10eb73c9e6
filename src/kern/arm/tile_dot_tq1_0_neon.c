/* int8 tile of TQ1_0 panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_tq1_0_neon, form_TQ1_0)
