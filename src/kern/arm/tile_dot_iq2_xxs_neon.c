/* int8 tile of IQ2_XXS panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq2_xxs_neon, form_IQ2_XXS)
