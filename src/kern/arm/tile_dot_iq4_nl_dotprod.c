/* int8 tile of IQ4_NL panels for NEON with dot products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq4_nl_dotprod, form_IQ4_NL)
