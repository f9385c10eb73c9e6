/* int8 tile of NF4 panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_nf4_avx2, form_NF4)
