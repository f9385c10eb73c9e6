/* int8 tile of IQ1_S panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq1_s_dotprod, form_IQ1_S)
