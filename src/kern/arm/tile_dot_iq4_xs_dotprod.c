/* int8 tile of IQ4_XS panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq4_xs_dotprod, form_IQ4_XS)
