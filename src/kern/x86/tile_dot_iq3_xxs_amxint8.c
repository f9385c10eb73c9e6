/* int8 tile of IQ3_XXS panels for AMX. */
#include "kern/x86/tile_amxint8.h"

TILE_AMX(tile_dot_iq3_xxs_amxint8, form_IQ3_XXS)
