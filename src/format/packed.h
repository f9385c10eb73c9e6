/* Matrices as quantized safetensors have them, and their rows in the blocks of quant/int4.c, int8.c and nf4.c. */
#ifndef LATHE_FORMAT_PACKED_H
#define LATHE_FORMAT_PACKED_H
#include "format/model_file.h"

enum packed_layout {
    PACKED_GPTQ, /* q: u32 [column / n][row], zeros: u32 [group][row / n], scales [group][row]; n integers a word, 8 or 4 */
    PACKED_AWQ, /* q: u32 [column][row / 8], zeros: u32 [group][row / 8], scales [group][row]; nibbles in AWQ's order of rows */
    PACKED_INTS, /* compressed-tensors: q: u32 [row][column / n], zeros: u32 [row / n][group], scales [row][group] */
    PACKED_BYTES, /* compressed-tensors: q: i8 [row][column], scales [row][group] */
    PACKED_NF4 /* bitsandbytes: q: u8 [row][column / 2], high nibble first; scales of consecutive weights */
};

/* Numbers are at any address. Column k of the view is column order[k] of the matrix; NULL: they are alike. */
struct mf_packed {
    enum packed_layout layout;
    int bits; /* of an integer: 4, or 8, whose zero points are all 128 */
    uint64_t n_row, n_col, group,
        n_group; /* columns of a group, the last of which may be short; weights in NF4 */
    const uint8_t *q, *scales, *zeros; /* zeros NULL: all are `zero` */
    uint32_t scale_type;               /* F16, BF16 or F32 */
    int zero, zero_plus;               /* zero_plus: what is added to each zero point */
    const int32_t *order;
    /* NF4 with scales of 8 bits: code c of scales is map[c] * nested[i / nested_group] + offset; map NULL: they are f32 */
    const uint8_t *map, *nested;
    uint64_t nested_group;
    float offset;
    uint64_t q_bytes;
};

/* Integers in a word of 32 bits. */
static inline uint64_t packed_in_word(const struct mf_packed *p)
{
    return 32 / (uint64_t)p->bits;
}
/* The type of blocks that it is of, whose size divides rows and groups; 0 if there is none. */
uint32_t packed_type(const struct mf_packed *p);
/* One row in blocks of `type`. */
void packed_row(const struct mf_packed *p, uint32_t type, uint64_t row, uint8_t *out);
#endif
