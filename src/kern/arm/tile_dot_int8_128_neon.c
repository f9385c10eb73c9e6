/* int8 tile of INT8_128 panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_int8_128_neon, form_INT8_128)
