/* int8 tile of IQ2_S panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_iq2_s_amxint8, form_IQ2_S)
