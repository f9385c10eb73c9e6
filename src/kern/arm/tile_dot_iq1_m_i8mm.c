/* int8 tile of IQ1_M panels for NEON with matrix products. */
#include "kern/arm/tile_neon.h"

TILE_DOT(tile_dot_iq1_m_i8mm, tile_dot_iq1_m_dotprod, form_IQ1_M)
