/* int8 tile of Q3_K panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_q3_k_amxint8, form_Q3_K)
