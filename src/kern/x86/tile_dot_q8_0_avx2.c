/* int8 tile of Q8_0 panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_q8_0_avx2, form_Q8_0)
