/* int8 tile of INT8_32 panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_int8_32_amxint8, form_INT8_32)
