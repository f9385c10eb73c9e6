/* int8 tile of Q4_1 panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_q4_1_amxint8, form_Q4_1)
