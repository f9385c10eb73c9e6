/* int8 tile of Q4_1 panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_q4_1_avx512vnni, form_Q4_1)
