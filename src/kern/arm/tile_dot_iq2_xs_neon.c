/* int8 tile of IQ2_XS panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq2_xs_neon, form_IQ2_XS)
