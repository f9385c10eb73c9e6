/* int8 tile of IQ2_XXS panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_iq2_xxs_avx512vnni, form_IQ2_XXS)
