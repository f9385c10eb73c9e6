/* int8 tile of INT4_128 panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_int4_128_amxint8, form_INT4_128)
