/* int8 tile of Q5_K panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_q5_k_avx2, form_Q5_K)
