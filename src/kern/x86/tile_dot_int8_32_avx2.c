/* int8 tile of INT8_32 panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_int8_32_avx2, form_INT8_32)
