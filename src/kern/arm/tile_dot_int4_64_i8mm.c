/* int8 tile of INT4_64 panels for NEON with matrix products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_int4_64_i8mm, tile_dot_int4_64_dotprod, form_INT4_64)
