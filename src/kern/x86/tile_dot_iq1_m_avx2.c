/* int8 tile of IQ1_M panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_iq1_m_avx2, form_IQ1_M)
