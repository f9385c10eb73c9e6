/* Fits of groups with AVX2. */
#define FIT fit_avx2
#include "quant/fit_lanes.h"
