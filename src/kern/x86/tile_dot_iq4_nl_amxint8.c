/* int8 tile of IQ4_NL panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_iq4_nl_amxint8, form_IQ4_NL)
