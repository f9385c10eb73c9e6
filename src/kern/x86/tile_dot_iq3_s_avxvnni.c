/* int8 tile of IQ3_S panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_iq3_s_avxvnni, form_IQ3_S)
