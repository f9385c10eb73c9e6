/* int8 tile of TQ2_0 panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_tq2_0_avx512vnni, form_TQ2_0)
