/* int8 tile of Q4_0 panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_q4_0_amxint8, form_Q4_0)
