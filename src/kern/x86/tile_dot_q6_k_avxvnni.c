/* int8 tile of Q6_K panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_q6_k_avxvnni, form_Q6_K)
