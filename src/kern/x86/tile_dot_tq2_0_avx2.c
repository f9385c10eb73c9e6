/* int8 tile of TQ2_0 panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_tq2_0_avx2, form_TQ2_0)
