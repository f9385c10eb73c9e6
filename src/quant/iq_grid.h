/* The grids of the IQ formats: a code stands for 4 or 8 magnitudes at once, a byte each, the first column lowest.
 * Signs are apart; iq1 has 0, 1, 2 for -1, 0, 1. */
#ifndef LATHE_QUANT_IQ_GRID_H
#define LATHE_QUANT_IQ_GRID_H
#include "quant/decode.h"

extern const uint64_t iq2_xxs_grid[256], iq2_xs_grid[512], iq2_s_grid[1024], iq1_grid[2048];
extern const uint32_t iq3_xxs_grid[256], iq3_s_grid[512];

/* Seven signs of eight columns; the eighth makes the number of minus signs even. */
static inline uint8_t signs_of_7(uint32_t seven)
{
    return (uint8_t)((seven & 127) | (uint32_t)__builtin_parity(seven & 127) << 7);
}

/* Column k of a block of 32 whose grid rows are 8 or (IQ3) two times 4 wide, with its sign. */
static inline int16_t signed_cell(uint64_t grid, int cell, uint8_t signs, int k)
{
    int v = (int)(grid >> 8 * cell & 255);
    return (int16_t)(signs >> k % 8 & 1 ? -v : v);
}
#endif
