/* int8 tile of MXFP4 panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_mxfp4_neon, form_MXFP4)
