/* int8 tile of IQ1_S panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_iq1_s_avx512vnni, form_IQ1_S)
