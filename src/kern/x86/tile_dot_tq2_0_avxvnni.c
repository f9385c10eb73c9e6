/* int8 tile of TQ2_0 panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_tq2_0_avxvnni, form_TQ2_0)
