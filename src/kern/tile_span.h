/* How tile_span_fn (kern.h) is cut for the registers of an instruction set: MAX_TOK tokens at once, and as many groups of 16 lanes
 * as make MAX_PAIR products of a group and a token. Included by what has the registers, after both are defined: it
 * defines tile_strip, which computes one such cut, and with UNPACKED_TOK strip_unpack. */
#ifndef LATHE_KERN_TILE_SPAN_H
#define LATHE_KERN_TILE_SPAN_H
#include "kern/column.h"
#include "kern/panel.h"
#include "kern/span.h"

struct strip {
    const uint8_t *head, *codes;
    int n_row, code_bytes;
    const float *x;
    int64_t x_stride;
    float *y;
    int64_t y_stride;
};

/* Groups first .. first + n_group times n tokens; n_group and n are constants, and so is first where n_group is more than one. */
ALWAYS void tile_strip(enum format_id of, const struct strip *s, int first, int n_group, int n);

/* Two groups at a time, since they share bytes, or four. */
ALWAYS void strip_groups(enum format_id of, const struct strip *s, int n_group, int n)
{
    if (n_group == 4 && 4 * n <= MAX_PAIR) {
        tile_strip(of, s, 0, 4, n);
        return;
    }
    for (int g = 0; g < n_group; g++)
        if (2 * n <= MAX_PAIR && g + 1 < n_group)
            tile_strip(of, s, g++, 2, n);
        else
            tile_strip(of, s, g, 1, n);
}

#define STRIP_OF(n)                         \
    case n:                                 \
        strip_groups(of, &s, n_group, (n)); \
        break;
ALWAYS void strip_all(enum format_id of, struct strip s, int n_group, int n_tok)
{
    while (n_tok > 0) {
        int n_here = n_tok > MAX_TOK ? (n_tok <= 8 ? 4 : MAX_TOK) : n_tok;
        switch (n_here) {
            STRIP_OF(1)
            STRIP_OF(2)
            STRIP_OF(3)
            STRIP_OF(4)
            STRIP_OF(5)
            STRIP_OF(6)
#if MAX_TOK > 6
            STRIP_OF(7)
            STRIP_OF(8)
            STRIP_OF(9)
            STRIP_OF(10)
            STRIP_OF(11)
            STRIP_OF(12)
#endif
        }
        n_tok -= n_here;
        s.x += n_here * s.x_stride;
        s.y += n_here * s.y_stride;
    }
}

#ifdef UNPACKED_TOK
/* From so many tokens on the strip is turned into f32 once, some rows at a time, and goes through the tiles of f32, whose sums are the
 * same. */
enum { UNPACKED_ROWS = 64 };

/* out[row][n_group][16] of rows k0 .. k0 + n. */
ALWAYS void strip_unpack(enum format_id of, const struct strip *s, int n_group, int k0, int n, float *out);

ALWAYS void strip_unpacked(enum format_id of, const struct strip *s, int n_group, int n_tok)
{
    float w[UNPACKED_ROWS * STRIP_LANES];
    for (int k0 = 0; k0 < s->n_row; k0 += UNPACKED_ROWS) {
        int n = s->n_row - k0 < UNPACKED_ROWS ? s->n_row - k0 : UNPACKED_ROWS;
        strip_unpack(of, s, n_group, k0, n, w);
        UNPACKED_TILE(w, n_group * LANES, LANES, n_group, n, s->x + k0, s->x_stride, n_tok, k0 > 0, s->y,
                      s->y_stride);
    }
}
#define STRIP_MANY(of, s, n_group, n_tok)         \
    if ((n_tok) >= UNPACKED_TOK) {                \
        strip_unpacked(of, &(s), n_group, n_tok); \
        return;                                   \
    }
#else
#define STRIP_MANY(of, s, n_group, n_tok)
#endif

#define TILE_SPAN(name, of)                                                                                 \
    void name(const uint8_t *strip, int n_group, int n_row, const float *x, int64_t x_stride, int n_tok,    \
              float *y, int64_t y_stride)                                                                   \
    {                                                                                                       \
        struct strip s = {                                                                                  \
            strip,   strip + strip_head_bytes(n_row), n_row, strip_code_bytes(of, n_group), x, x_stride, y, \
            y_stride};                                                                                      \
        STRIP_MANY(of, s, n_group, n_tok)                                                                   \
        strip_all(of, s, n_group, n_tok);                                                                   \
    }
#endif
