/* int8 tile of IQ2_XS panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq2_xs_dotprod, form_IQ2_XS)
