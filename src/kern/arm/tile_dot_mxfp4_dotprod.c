/* int8 tile of MXFP4 panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_mxfp4_dotprod, form_MXFP4)
