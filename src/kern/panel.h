/* Panels: the layout of weights that kernels read. A panel is 16 rows of a matrix, interleaved; rows past the
 * end are zero. It keeps every integer and scale of the file's blocks exactly.
 *
 * Quantized formats, per 64 columns (two blocks; the last may be half empty):
 *
 *     | d: 2 x 16 f16 | (m: 2 x 16 f16) | integers of block 0 | integers of block 1 |
 *
 * All parts are whole cache lines. The integers of a block:
 *
 *   4 bits   4 lines; byte 4r+i of line j holds row r's columns 4j+i (low nibble) and 16+4j+i (high nibble)
 *   8 bits   8 lines; byte 4r+i of line j holds row r's column 4j+i, plus 128
 *
 * F32, F16, BF16: element [column][row]. */
#ifndef LATHE_KERN_PANEL_H
#define LATHE_KERN_PANEL_H
#include <string.h>
#include "kern/kern.h"

enum {
    PANEL_Q4_0_BYTES = 64 + 512, /* per 64 columns */
    PANEL_Q4_1_BYTES = 128 + 512,
    PANEL_Q8_0_BYTES = 64 + 1024
};

/* How far ahead tiles ask the second-level cache for weights (8 tokens, weights of 607 MB, Zen 4: 39 ms without, 28 with; 4 to
 * 16 KiB are alike). */
enum { TILE_AHEAD_BYTES = 8192 };

/* The scale or minimum, an f16 at any address. */
static inline float panel_half(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return f16_to_f32(h);
}

/* Bytes of one panel of n_col columns; 0 if the format has no panel form. */
size_t panel_bytes(enum format_id format, int64_t n_col);
/* Lays out n_row (1..16) rows that start at `rows`, row_bytes apart, as in the file. */
void panel_pack(enum format_id format, const uint8_t *rows, size_t row_bytes, int n_row, int64_t n_col,
                uint8_t *panel);
/* out[n_col] = row r of the panel as f32. */
void panel_row(enum format_id format, const uint8_t *panel, int r, int64_t n_col, float *out);
#endif
