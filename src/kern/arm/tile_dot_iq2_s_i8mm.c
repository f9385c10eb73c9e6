/* int8 tile of IQ2_S panels for NEON with matrix products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq2_s_i8mm, tile_dot_iq2_s_dotprod, form_IQ2_S)
