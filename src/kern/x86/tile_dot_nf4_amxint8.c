/* int8 tile of NF4 panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_nf4_amxint8, form_NF4)
