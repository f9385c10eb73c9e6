/* int8 tile of Q6_K panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_q6_k_amxint8, form_Q6_K)
