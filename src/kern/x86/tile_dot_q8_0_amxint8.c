/* int8 tile of Q8_0 panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_q8_0_amxint8, form_Q8_0)
