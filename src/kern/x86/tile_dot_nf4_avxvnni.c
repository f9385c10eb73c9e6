/* int8 tile of NF4 panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_nf4_avxvnni, form_NF4)
