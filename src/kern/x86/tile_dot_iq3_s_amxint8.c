/* int8 tile of IQ3_S panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_iq3_s_amxint8, form_IQ3_S)
