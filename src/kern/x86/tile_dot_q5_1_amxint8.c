/* int8 tile of Q5_1 panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_q5_1_amxint8, form_Q5_1)
