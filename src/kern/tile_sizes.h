/* From a call of tile_dot_fn (kern.h) to tiles that are made for a constant number of tokens. Counts between the sizes compute the next
 * larger one: absent tokens of a group are zero, absent groups are not read. */
#ifndef LATHE_KERN_TILE_SIZES_H
#define LATHE_KERN_TILE_SIZES_H
#include "kern/kern.h"

#define TILE_ARGS                                                                                      \
    const uint8_t *panel, int n_block, const struct act_block *x, int64_t stride, int n_tok, bool add, \
        float *y, int64_t y_stride

/* tile(form, panel, ..., tokens computed, tokens stored, ...) of 4, 8 or 12 tokens; of 1 and 2, too. */
#define TILE_MANY(tile, f)                                              \
    if (n_tok <= 4)                                                     \
        tile(f, panel, n_block, x, stride, 4, n_tok, add, y, y_stride); \
    else if (n_tok <= 8)                                                \
        tile(f, panel, n_block, x, stride, 8, n_tok, add, y, y_stride); \
    else                                                                \
        tile(f, panel, n_block, x, stride, 12, n_tok, add, y, y_stride);
#define TILE_ANY(tile, f)                                           \
    if (n_tok == 1)                                                 \
        tile(f, panel, n_block, x, stride, 1, 1, add, y, y_stride); \
    else if (n_tok == 2)                                            \
        tile(f, panel, n_block, x, stride, 2, 2, add, y, y_stride); \
    else                                                            \
        TILE_MANY(tile, f)
#endif
