/* How tile_f32_fn (kern.h) is cut for 16 registers of f32 or twice as many: MAX_PAIR products of a group of 16 rows and a token at once,
 * which hide the latency of a fused multiply-add; of few tokens several groups. Included by what has the registers: it defines
 * tile_n. */
#ifndef LATHE_KERN_TILE_F32_H
#define LATHE_KERN_TILE_F32_H
#include "kern/inline.h"
#include "kern/kern.h"

enum { MAX_PAIR = 6 };

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

/* n_group groups times n tokens, both constants; n_tok <= n are stored, the absent ones repeat the first. */
ALWAYS void tile_n(enum format_id of, const struct tile *c, int n_group, int n, int n_tok);

ALWAYS void tile_groups(enum format_id of, struct tile c, int n_group, int n_tok)
{
    while (n_group > 0) {
        int n_here = 1;
        if (n_tok == 1 && n_group >= 4)
            tile_n(of, &c, n_here = 4, 1, 1);
        else if (n_tok == 1)
            tile_n(of, &c, 1, 1, 1);
        else if (n_tok <= 3 && n_group >= 2)
            tile_n(of, &c, n_here = 2, 3, n_tok);
        else if (n_tok <= 3)
            tile_n(of, &c, 1, 3, n_tok);
        else if (n_tok == 4)
            tile_n(of, &c, 1, 4, 4);
        else
            tile_n(of, &c, 1, 6, n_tok);
        n_group -= n_here;
        c.w += n_here * c.w_group * (of == FORMAT_F32 ? 4 : 2);
        c.y += n_here * LANES;
    }
}

ALWAYS void tile_all(enum format_id of, struct tile c, int n_group, int n_tok)
{
    while (n_tok > 0) {
        int n_here = n_tok > 6 ? (n_tok <= 8 ? 4 : 6) : n_tok;
        tile_groups(of, c, n_group, n_here);
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
