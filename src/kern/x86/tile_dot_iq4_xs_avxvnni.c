/* int8 tile of IQ4_XS panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_iq4_xs_avxvnni, form_IQ4_XS)
