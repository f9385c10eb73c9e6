/* int8 tile of Q2_K panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_q2_k_avx512vnni, form_Q2_K)
