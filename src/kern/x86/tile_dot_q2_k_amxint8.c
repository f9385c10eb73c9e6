/* int8 tile of Q2_K panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_q2_k_amxint8, form_Q2_K)
