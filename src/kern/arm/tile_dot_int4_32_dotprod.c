/* int8 tile of INT4_32 panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_int4_32_dotprod, form_INT4_32)
