/* int8 tile of IQ2_S panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq2_s_neon, form_IQ2_S)
