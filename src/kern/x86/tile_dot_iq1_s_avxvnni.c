/* int8 tile of IQ1_S panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_iq1_s_avxvnni, form_IQ1_S)
