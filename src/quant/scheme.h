/* How a format of blocks stands for weights, as rows: what the searches of scales are driven by. */
#ifndef LATHE_QUANT_SCHEME_H
#define LATHE_QUANT_SCHEME_H
#include "quant/fit.h"
#include "quant/parts.h"

/* What a block's scale is written as. */
enum scheme_scale {
    SCHEME_F16,   /* d[0] of one group, and d[1] its minimum */
    SCHEME_POWER, /* a power of two of one group */
    SCHEME_SUPER  /* a group's integers times f16 d[0] and, with minima, d[1] */
};

struct scheme {
    uint32_t id;          /* of the format */
    int group_n, n_group; /* columns of a group, groups of a block */
    enum scheme_scale scale;
    bool has_min;
    struct levels levels;
    int code_0;             /* code = level + code_0 */
    const uint8_t *code;    /* or of a book's levels in ascending order */
    int sc_lo, sc_hi, sc_0; /* SUPER: integer scales, and what is added to them in the file */
    int mn_hi;              /* integer minima 0..mn_hi, which are subtracted */
};

/* NULL if the format has none. */
const struct scheme *scheme_of(uint32_t id);

/* Sixteen groups of x[n_block * block_n] brought to one size, a power of two for each block, so that no sum overflows. */
struct scheme_tile {
    struct fit_tile t;
    int n_block;
    float up[TILE_GROUPS],
        down[TILE_GROUPS]; /* of each group: what its numbers were divided by, and 1 over it */
    bool bad[TILE_GROUPS]; /* of each block: it has a number that is none */
};
/* The nearest f16 to a number of group g. */
float scheme_f16(const struct scheme_tile *t, int g, float v);

/* What searches find, in the tile's size. */
struct found {
    float d[TILE_GROUPS], m[TILE_GROUPS];   /* of each group */
    float sc[TILE_GROUPS], mn[TILE_GROUPS]; /* SUPER: d = scale[0] * sc, m = -scale[1] * mn */
    float scale[2][TILE_GROUPS];            /* SUPER: of each block */
};

/* What is plain to see of each group: the scale, or scale and minimum, with all numbers between the ends. */
void search_plain(const struct scheme *s, const struct fit_tile *t, float *d, float *m);
/* The scale, or scale and minimum, of each group by itself, not yet rounded to what the file can hold. */
void search_scale(const struct scheme *s, struct scheme_tile *t, float *d);
void search_min(const struct scheme *s, struct scheme_tile *t, float *d, float *m);
/* What a block of each kind of scale holds, from there. */
void search_f16(const struct scheme *s, struct scheme_tile *t, struct found *f);
void search_power(const struct scheme *s, struct scheme_tile *t, struct found *f);
void search_super(const struct scheme *s, struct scheme_tile *t, struct found *f);
#endif
