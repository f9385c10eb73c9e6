/* int8 tile of IQ4_NL panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_iq4_nl_avx512vnni, form_IQ4_NL)
