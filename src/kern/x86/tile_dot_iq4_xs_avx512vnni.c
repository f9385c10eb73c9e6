/* int8 tile of IQ4_XS panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_iq4_xs_avx512vnni, form_IQ4_XS)
