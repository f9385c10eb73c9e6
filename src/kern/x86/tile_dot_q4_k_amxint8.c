/* int8 tile of Q4_K panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_q4_k_amxint8, form_Q4_K)
