/* Panels of quantized formats by their form (kern/form.h). */
#ifndef LATHE_KERN_PANEL_BLOCKS_H
#define LATHE_KERN_PANEL_BLOCKS_H
#include "kern/form.h"
#include "quant/parts.h"

size_t blocks_bytes(const struct form *f, int64_t n_col);
/* As panel_pack and panel_row. */
void blocks_pack(const struct form *f, const uint8_t *rows, size_t row_bytes, int n_row, int64_t n_col,
                 uint8_t *panel);
void blocks_row(const struct form *f, const uint8_t *panel, int r, int64_t n_col, float *out);
/* The same of formats with a grid, between parts and a super-block (panel_grid.c). */
void grid_put(const struct form *f, const struct parts *p, int r, uint8_t *to);
void grid_get(const struct form *f, const uint8_t *from, int r, struct parts *p);
/* The parts of row r in super-block s, as `take` has them of the file. */
void blocks_get(const struct form *f, const uint8_t *panel, int64_t s, int r, struct parts *p);
#endif
