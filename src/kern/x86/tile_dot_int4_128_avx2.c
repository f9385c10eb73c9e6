/* int8 tile of INT4_128 panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_int4_128_avx2, form_INT4_128)
