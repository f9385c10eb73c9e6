/* int8 tile of Q5_K panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_q5_k_avxvnni, form_Q5_K)
