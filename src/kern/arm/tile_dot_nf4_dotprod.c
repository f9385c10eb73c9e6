/* int8 tile of NF4 panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_nf4_dotprod, form_NF4)
