/* int8 tile of TQ1_0 panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_tq1_0_avxvnni, form_TQ1_0)
