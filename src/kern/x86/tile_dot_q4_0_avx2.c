/* int8 tile of Q4_0 panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_q4_0_avx2, form_Q4_0)
