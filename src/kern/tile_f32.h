/* How tile_f32_fn (kern.h) is cut for the registers of an instruction set: MAX_TOK tokens at once, and of few tokens several groups
 * of 16 rows, MAX_PAIR products of a group and a token in all, which hide the latency of a fused multiply-add. Included
 * by what has the registers, after both are defined: it defines tile_n. */
#ifndef LATHE_KERN_TILE_F32_H
#define LATHE_KERN_TILE_F32_H
#include "kern/column.h"
#include "kern/kern.h"

/* What a call is about, with w and y moved on from group to group. */
struct tile {
    const uint8_t *w;
    int64_t w_stride, w_group;
    int n_k;
    const float *x;
    int64_t x_stride;
    bool add;
    float *y;
    int64_t y_stride;
};

/* n_group groups times n tokens, both constants. */
ALWAYS void tile_n(enum format_id of, const struct tile *c, int n_group, int n);

ALWAYS void tile_groups(enum format_id of, struct tile c, int n_group, int n)
{
    const int at_once = 4 * n <= MAX_PAIR ? 4 : 3 * n <= MAX_PAIR ? 2 : 1;
    while (n_group > 0) {
        int n_here = n_group >= at_once ? at_once : 1;
        if (n_here == at_once)
            tile_n(of, &c, at_once, n);
        else
            tile_n(of, &c, 1, n);
        n_group -= n_here;
        c.w += n_here * c.w_group * (of == FORMAT_F32 ? 4 : 2);
        c.y += n_here * LANES;
    }
}

#define TILE_OF(n)                        \
    case n:                               \
        tile_groups(of, c, n_group, (n)); \
        break;
ALWAYS void tile_all(enum format_id of, struct tile c, int n_group, int n_tok)
{
    while (n_tok > 0) {
        int n_here = n_tok > MAX_TOK ? (n_tok <= 8 ? 4 : MAX_TOK) : n_tok;
        switch (n_here) {
            TILE_OF(1)
            TILE_OF(2)
            TILE_OF(3)
            TILE_OF(4)
            TILE_OF(5)
            TILE_OF(6)
#if MAX_TOK > 6
            TILE_OF(7)
            TILE_OF(8)
            TILE_OF(9)
            TILE_OF(10)
            TILE_OF(11)
            TILE_OF(12)
#endif
        }
        n_tok -= n_here;
        c.x += n_here * c.x_stride;
        c.y += n_here * c.y_stride;
    }
}

#define TILE(name, of)                                                                                 \
    void name(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k, const float *x,  \
              int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)                       \
    {                                                                                                  \
        tile_all(of, (struct tile){w, w_stride, w_group, n_k, x, x_stride, add, y, y_stride}, n_group, \
                 n_tok);                                                                               \
    }
#endif
