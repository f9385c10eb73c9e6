/* int8 tile of NF4 panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_nf4_avx512vnni, form_NF4)
