/* int8 tile of Q5_1 panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_q5_1_avxvnni, form_Q5_1)
