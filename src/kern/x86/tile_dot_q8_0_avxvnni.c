/* int8 tile of Q8_0 panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_q8_0_avxvnni, form_Q8_0)
