/* int8 tile of IQ1_M panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_iq1_m_amxint8, form_IQ1_M)
