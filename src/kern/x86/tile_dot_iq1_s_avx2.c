/* int8 tile of IQ1_S panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_iq1_s_avx2, form_IQ1_S)
