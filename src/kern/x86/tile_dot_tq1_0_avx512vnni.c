/* int8 tile of TQ1_0 panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_tq1_0_avx512vnni, form_TQ1_0)
