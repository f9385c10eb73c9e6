/* int8 tile of IQ1_M panels for NEON. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq1_m_neon, form_IQ1_M)
