/* int8 tile of IQ2_XS panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_iq2_xs_avx2, form_IQ2_XS)
