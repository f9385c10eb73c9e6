/* int8 tile of INT8_32 panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_int8_32_avx512vnni, form_INT8_32)
