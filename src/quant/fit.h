/* The one inner loop of quantizing: given a scale and a minimum, which codes are nearest and what is the error?
 *
 * A group is the 16 or 32 columns that share a scale. Sixteen groups are looked at side by side, a group to a lane, so that
 * nothing is summed across lanes and every instruction set gives the same bits:
 *
 *               group 0  group 1  ...  group 15
 *     column 0   x[0]                              w = d * level + m, level from lo..hi or out of a book
 *     column 1   x[1]                              err = sum of h * (x - w)^2
 *     ...
 */
#ifndef LATHE_QUANT_FIT_H
#define LATHE_QUANT_FIT_H
#include <stdint.h>
#include <stdbool.h>

enum { TILE_GROUPS = 16, TILE_COLUMNS = 32 };

/* What a code may mean, before scale and minimum: the integers lo..hi, or the book, ascending. */
struct levels {
    float lo, hi;
    bool below; /* minima are subtracted: none is above 0 */
    const float *book;
    int n_book;
};

struct fit_tile {
    int n; /* columns of a group */
    float x[TILE_COLUMNS][TILE_GROUPS], h[TILE_COLUMNS][TILE_GROUPS];
    float level[TILE_COLUMNS][TILE_GROUPS]; /* of the newest fit */
    float sum_h[TILE_GROUPS], sum_hx[TILE_GROUPS];
};

/* Of each group; q: levels. */
struct fit {
    float hq[TILE_GROUPS], hqq[TILE_GROUPS], hxq[TILE_GROUPS]; /* weighted sums over the columns */
    float err[TILE_GROUPS];
    /* By least squares for these levels: scale and minimum, and what they make the error less than the sum of squares. */
    float d[TILE_GROUPS], m[TILE_GROUPS], gain[TILE_GROUPS];
};

/* Sets t->level to the nearest ones for scales d and minima m (NULL: none) of the groups. With below, the f->m are <= 0 and
 * the f->d >= 0. */
typedef void fit_fn(struct fit_tile *t, const struct levels *l, const float *d, const float *m,
                    struct fit *f);

/* The fastest that this CPU has, as masked by LATHE_CPU. */
fit_fn *fit_chosen(void);
fit_fn fit_c, fit_avx2, fit_avx512vnni;
#endif
