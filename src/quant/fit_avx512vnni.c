/* Fits of groups with AVX-512. */
#define FIT fit_avx512vnni
#include "quant/fit_lanes.h"
