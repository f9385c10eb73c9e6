/* int8 tile of IQ2_XXS panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_iq2_xxs_avxvnni, form_IQ2_XXS)
