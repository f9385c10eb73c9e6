/* int8 tile of NF4 panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_nf4_neon, form_NF4)
