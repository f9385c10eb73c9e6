/* int8 tile of Q4_K panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_q4_k_avx2, form_Q4_K)
