/* int8 tile of IQ3_S panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq3_s_dotprod, form_IQ3_S)
