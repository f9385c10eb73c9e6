/* int8 tile of TQ1_0 panels for NEON with matrix products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_tq1_0_i8mm, tile_dot_tq1_0_dotprod, form_TQ1_0)
