/* int8 tile of IQ4_XS panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_iq4_xs_avx2, form_IQ4_XS)
