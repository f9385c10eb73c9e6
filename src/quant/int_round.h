/* Rounding to the integers of published layouts: groups of any length that share a scale and, at will, an integer zero point,
 * w = d (q - z). Beside the searches of GGUF's blocks (search.c), whose groups lie in tiles of up to 32 columns. */
#ifndef LATHE_QUANT_INT_ROUND_H
#define LATHE_QUANT_INT_ROUND_H
#include <stdint.h>

struct int_grid {
    int q_hi;          /* codes 0..q_hi */
    int zero;          /* the zero point of all groups, or -1: each has its own */
    int z_lo, z_hi;    /* within these */
    uint32_t scale_of; /* F16 or BF16: what scales are rounded to */
    int group;         /* columns that share a scale, whole blocks of the format; 0: those of a block */
    int code_0;        /* what a block has for code 0 */
    const float *
        levels; /* sixteen that codes stand for instead of integers (NF4), with a scale in f32; NULL: d (q - z) */
};

struct int_group {
    float d;
    int z;
    double error; /* sum of h (x - w)^2 */
};

/* Scale and zero point with a small error for n finite numbers, weighed by h (NULL: alike), and their codes. */
struct int_group int_round(const struct int_grid *grid, const float *x, const float *h, int64_t n,
                           uint8_t *q);
#endif
