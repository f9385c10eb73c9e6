/* int8 tile of INT4_64 panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_int4_64_avxvnni, form_INT4_64)
