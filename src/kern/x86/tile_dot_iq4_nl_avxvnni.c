/* int8 tile of IQ4_NL panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_iq4_nl_avxvnni, form_IQ4_NL)
