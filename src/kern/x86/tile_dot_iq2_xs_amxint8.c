/* int8 tile of IQ2_XS panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_iq2_xs_amxint8, form_IQ2_XS)
