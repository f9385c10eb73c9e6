/* int8 tile of Q4_K panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_q4_k_avxvnni, form_Q4_K)
