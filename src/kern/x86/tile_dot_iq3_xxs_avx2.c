/* int8 tile of IQ3_XXS panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_iq3_xxs_avx2, form_IQ3_XXS)
