/* int8 tile of INT4_64 panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_int4_64_avx512vnni, form_INT4_64)
