/* int8 tile of INT4_128 panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_int4_128_avxvnni, form_INT4_128)
