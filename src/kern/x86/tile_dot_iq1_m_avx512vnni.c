/* int8 tile of IQ1_M panels for AVX-512 VNNI. */
#include "kern/x86/tile_avx512.h"

TILE_DOT(tile_dot_iq1_m_avx512vnni, form_IQ1_M)
