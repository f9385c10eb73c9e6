/* int8 tile of Q5_0 panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_q5_0_avx512vnni, form_Q5_0)
