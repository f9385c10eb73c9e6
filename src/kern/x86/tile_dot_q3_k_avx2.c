/* int8 tile of Q3_K panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_q3_k_avx2, form_Q3_K)
