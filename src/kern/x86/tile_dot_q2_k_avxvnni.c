/* int8 tile of Q2_K panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_q2_k_avxvnni, form_Q2_K)
