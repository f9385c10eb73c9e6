/* int8 tile of Q5_0 panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_q5_0_avxvnni, form_Q5_0)
