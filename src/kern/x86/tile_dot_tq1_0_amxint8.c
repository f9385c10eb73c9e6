/* int8 tile of TQ1_0 panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_tq1_0_amxint8, form_TQ1_0)
