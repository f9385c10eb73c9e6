/* int8 tile of IQ3_XXS panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_iq3_xxs_avxvnni, form_IQ3_XXS)
