/* int8 tile of INT4_64 panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_int4_64_neon, form_INT4_64)
