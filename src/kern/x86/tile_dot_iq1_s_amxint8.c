/* int8 tile of IQ1_S panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_iq1_s_amxint8, form_IQ1_S)
