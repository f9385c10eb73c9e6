/* int8 tile of INT8_32 panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_int8_32_avxvnni, form_INT8_32)
