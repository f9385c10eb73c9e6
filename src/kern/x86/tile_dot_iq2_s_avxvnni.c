/* int8 tile of IQ2_S panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_iq2_s_avxvnni, form_IQ2_S)
