/* int8 tile of TQ2_0 panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_tq2_0_dotprod, form_TQ2_0)
