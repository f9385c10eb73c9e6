/* int8 tile of INT8_128 panels for NEON with matrix products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_int8_128_i8mm, tile_dot_int8_128_dotprod, form_INT8_128)
