/* int8 tile of MXFP4 panels for AVX-VNNI. */
#include "kern/x86/tile_avxvnni.h"

TILE_DOT(tile_dot_mxfp4_avxvnni, form_MXFP4)
