/* int8 tile of IQ2_XXS panels for NEON with matrix products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq2_xxs_i8mm, tile_dot_iq2_xxs_dotprod, form_IQ2_XXS)
