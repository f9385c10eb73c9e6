/* int8 tile of MXFP4 panels for AVX2. */
#include "kern/x86/tile_avx2.h"

TILE_DOT(tile_dot_mxfp4_avx2, form_MXFP4)
