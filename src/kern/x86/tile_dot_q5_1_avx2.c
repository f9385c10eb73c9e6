/* int8 tile of Q5_1 panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_q5_1_avx2, form_Q5_1)
