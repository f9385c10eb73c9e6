/* int8 tile of MXFP4 panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_mxfp4_amxint8, form_MXFP4)
