/* int8 tile of Q3_K panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_q3_k_avxvnni, form_Q3_K)
