/* int8 tile of NF4 panels for NEON with matrix products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_nf4_i8mm, tile_dot_nf4_dotprod, form_NF4)
