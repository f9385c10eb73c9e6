/* int8 tile of IQ3_XXS panels for NEON with matrix products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq3_xxs_i8mm, tile_dot_iq3_xxs_dotprod, form_IQ3_XXS)
