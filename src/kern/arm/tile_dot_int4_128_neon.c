/* int8 tile of INT4_128 panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_int4_128_neon, form_INT4_128)
