/* int8 tile of IQ2_XS panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_iq2_xs_avx512vnni, form_IQ2_XS)
