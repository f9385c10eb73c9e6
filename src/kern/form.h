/* How panels of quantized formats lie and what is computed with them: a row for each format.
 *
 *     | head of a group | super-block: scales, integers of its blocks of 32 | next super-block of the group | ... | head | ...
 *
 *   head         what one line of 64 bytes is too long for: the f16 numbers of n_super super-blocks,
 *                number i of super-block h at 32 (i n_super + h), 2r on for row r; MXFP4: exponents, at 16 h + r
 *   super-block  n_block blocks of 32 columns: one in formats with blocks of 32, eight in those of 256.
 *                The last group is cut where its super-blocks end
 *   scales       a byte: at 16 i + r for row r and scale i, in order of columns; 6 bits: see SCALES_6
 *   integers     planes of 4, 2 and 1 bits, low bits first. Of plane and row r, columns 4j..4j+3 (an operand of a
 *                dot instruction) are in bytes 4r..4r+3 of a line:
 *
 *       4 bits   4 lines; operand j in line j % 4, low nibbles for j < 4, else high ones
 *       2 bits   2 lines; operand j in line j / 4, bits 2 (j % 4)
 *       1 bit    1 line; operand j in bit j
 *       trits    13 lines of a super-block; five operands each (the last four) in ascending order, as TQ1_0 packs them
 *
 *                The IQ formats with a grid keep the bits of their codes and signs as the file has them: panel_grid.c
 *
 * Everything begins on a cache line, and all of it together is at most 1.03 times the file's bytes. */
#ifndef LATHE_KERN_FORM_H
#define LATHE_KERN_FORM_H
#include "kern/panel.h"
#include "quant/parts.h"

enum form_ints {
    INTS_4,
    INTS_IQ4, /* 4 bits, index of iq4_values */
    INTS_NF4, /* 4 bits, index of nf4_values */
    INTS_FP4, /* 4 bits, index of mxfp4_values */
    INTS_5,   /* 4 + 1 */
    INTS_6,   /* 4 + 2 */
    INTS_3,   /* 2 + 1 */
    INTS_2,
    INTS_8,
    INTS_TRITS,
    INTS_IQ3_XXS, /* these and the following: rows of a grid */
    INTS_IQ3_S,
    INTS_IQ2_XXS,
    INTS_IQ2_XS,
    INTS_IQ2_S,
    INTS_IQ1_S,
    INTS_IQ1_M
};

enum form_scales {
    SCALES_HALF, /* none beside those of the head */
    SCALES_E8M0, /* the head has exponents */
    SCALES_K,    /* 8 bytes of scales, then 8 of minima; both times a number of the head */
    SCALES_32,   /* 8 bytes, less 32 */
    SCALES_INT8, /* 16 signed bytes */
    SCALES_6, /* 16 of 6 bits, less 32: two lines of nibbles, scale i of row r in line i / 8, byte 4r + i % 8 / 2;
                    a line of two bits, in byte 4r + i / 4 */
    SCALES_4,  /* 16 bytes: low nibble scale, high nibble minimum */
    SCALES_19, /* the head has numbers of 19 bits (quant/int_scale.h): upper halves, and at 32 n_super + 16 h + r the bytes */
    SCALES_19_ZERO, /* and the zero points in those bytes */
    SCALES_F32,     /* the head has f32, at 64 h + 4 r */
    SCALES_GRID     /* s of 3 or 4 bits, for 2 s + 1, where the format's codes are */
};

/* What happens to the exact dots of a block (kern.h has the formulas). */
enum form_math { MATH_32, MATH_16, MATH_INT };

struct form {
    enum format_id format;
    enum form_ints ints;
    enum form_scales scales;
    enum form_math math;
    bool has_min;
    int offset;                             /* of the unsigned operand */
    int n_block, n_super, n_half;           /* n_half: f16 numbers of a super-block */
    int head_bytes, scale_bytes, int_bytes; /* of a group, of a super-block, of a block */
};

/* format, integers, scales, math, minimum, offset, n_block, n_super, n_half, bytes of head, scales, integers */
#define FORMS(X)                                                                   \
    X(Q4_0, INTS_4, SCALES_HALF, MATH_32, false, 8, 1, 2, 1, 64, 0, 256)           \
    X(Q4_1, INTS_4, SCALES_HALF, MATH_32, true, 0, 1, 2, 2, 128, 0, 256)           \
    X(Q8_0, INTS_8, SCALES_HALF, MATH_32, false, 128, 1, 2, 1, 64, 0, 512)         \
    X(Q5_0, INTS_5, SCALES_HALF, MATH_32, false, 16, 1, 2, 1, 64, 0, 320)          \
    X(Q5_1, INTS_5, SCALES_HALF, MATH_32, true, 0, 1, 2, 2, 128, 0, 320)           \
    X(IQ4_NL, INTS_IQ4, SCALES_HALF, MATH_32, false, 128, 1, 2, 1, 64, 0, 256)     \
    X(MXFP4, INTS_FP4, SCALES_E8M0, MATH_32, false, 16, 1, 4, 0, 64, 0, 256)       \
    X(Q4_K, INTS_4, SCALES_K, MATH_32, true, 0, 8, 1, 2, 64, 256, 256)             \
    X(Q5_K, INTS_5, SCALES_K, MATH_32, true, 0, 8, 1, 2, 64, 256, 320)             \
    X(IQ4_XS, INTS_IQ4, SCALES_32, MATH_32, false, 128, 8, 2, 1, 64, 128, 256)     \
    X(Q6_K, INTS_6, SCALES_INT8, MATH_16, false, 32, 8, 2, 1, 64, 256, 384)        \
    X(Q3_K, INTS_3, SCALES_6, MATH_INT, false, 4, 8, 2, 1, 64, 192, 192)           \
    X(Q2_K, INTS_2, SCALES_4, MATH_INT, true, 0, 8, 1, 2, 64, 256, 128)            \
    X(INT4_32, INTS_4, SCALES_19_ZERO, MATH_32, false, 0, 1, 4, 0, 192, 0, 256)    \
    X(INT4_64, INTS_4, SCALES_19_ZERO, MATH_32, false, 0, 2, 4, 0, 192, 0, 256)    \
    X(INT4_128, INTS_4, SCALES_19_ZERO, MATH_32, false, 0, 4, 4, 0, 192, 0, 256)   \
    X(INT8_32, INTS_8, SCALES_19, MATH_32, false, 128, 1, 4, 0, 192, 0, 512)       \
    X(INT8_128, INTS_8, SCALES_19, MATH_32, false, 128, 4, 4, 0, 192, 0, 512)      \
    X(NF4, INTS_NF4, SCALES_F32, MATH_32, false, 128, 2, 2, 0, 128, 0, 256)        \
    X(TQ2_0, INTS_2, SCALES_HALF, MATH_32, false, 1, 8, 2, 1, 64, 0, 128)          \
    X(TQ1_0, INTS_TRITS, SCALES_HALF, MATH_32, false, 1, 8, 2, 1, 64, 0, 104)      \
    X(IQ3_XXS, INTS_IQ3_XXS, SCALES_GRID, MATH_32, false, 64, 8, 2, 1, 64, 0, 192) \
    X(IQ3_S, INTS_IQ3_S, SCALES_GRID, MATH_32, false, 64, 8, 2, 1, 64, 192, 192)   \
    X(IQ2_XXS, INTS_IQ2_XXS, SCALES_GRID, MATH_32, false, 64, 8, 2, 1, 64, 0, 128) \
    X(IQ2_XS, INTS_IQ2_XS, SCALES_GRID, MATH_16, false, 64, 8, 2, 1, 64, 128, 128) \
    X(IQ2_S, INTS_IQ2_S, SCALES_GRID, MATH_16, false, 64, 8, 2, 1, 64, 256, 128)   \
    X(IQ1_S, INTS_IQ1_S, SCALES_GRID, MATH_32, false, 16, 8, 2, 1, 64, 256, 64)    \
    X(IQ1_M, INTS_IQ1_M, SCALES_GRID, MATH_16, false, 16, 8, 1, 0, 0, 384, 64)

/* form_Q4_K and so on are constants: kernels are written once and made for each form. */
#define X(name, ints, scales, math, has_min, offset, n_block, n_super, n_half, head, scale_bytes, int_bytes) \
    static const struct form form_##name = {FORMAT_##name, ints,    scales, math, has_min,     offset,       \
                                            n_block,       n_super, n_half, head, scale_bytes, int_bytes};
FORMS(X)
#undef X

/* Those of zero points, and where the head has the bytes of numbers of 19 bits. */
static inline bool form_has_zero(struct form f)
{
    return f.scales == SCALES_19_ZERO;
}

static inline bool form_has_19(struct form f)
{
    return f.scales == SCALES_19 || f.scales == SCALES_19_ZERO;
}

/* What integers that are an index stand for; NULL: themselves. */
static inline const int8_t *form_values(struct form f)
{
    return f.ints == INTS_IQ4   ? iq4_values
           : f.ints == INTS_NF4 ? nf4_values
           : f.ints == INTS_FP4 ? mxfp4_values
                                : NULL;
}

static inline int form_super_bytes(struct form f)
{
    return f.scale_bytes + f.n_block * f.int_bytes;
}

static inline int form_group_bytes(struct form f)
{
    return f.head_bytes + f.n_super * form_super_bytes(f);
}

/* What a tile asks the second-level cache for at each block of a super-block, TILE_AHEAD_BYTES ahead: whole lines, scales
 * and heads too. A line left out of the stream costs more than the others gain (Zen 4, one token, share of the read
 * bandwidth: Q2_K 68 % without, 57 with the integers alone, 89 with all). */
static inline int form_ahead_bytes(struct form f)
{
    int each = (form_super_bytes(f) + f.head_bytes + f.n_block - 1) / f.n_block;
    return (each + 63) / 64 * 64;
}

/* Where super-block s of a panel is. */
struct form_place {
    size_t head; /* of its group */
    int slot;    /* in the head */
    size_t body;
};

static inline struct form_place form_place(struct form f, int64_t s)
{
    struct form_place at = {(size_t)(s / f.n_super) * (size_t)form_group_bytes(f), (int)(s % f.n_super), 0};
    at.body = at.head + (size_t)(f.head_bytes + at.slot * form_super_bytes(f));
    return at;
}

/* A plane of a block's integers: `bits` of the code from `shift` on, at byte `at` of the block. */
struct plane {
    int bits, at, shift;
};

/* The planes of integers; n = 0 past the last. */
static inline struct plane form_plane(enum form_ints ints, int i)
{
    static const struct plane planes[][2] = {
        [INTS_4] = {{4, 0, 0}},
        [INTS_IQ4] = {{4, 0, 0}},
        [INTS_NF4] = {{4, 0, 0}},
        [INTS_FP4] = {{4, 0, 0}},
        [INTS_5] = {{4, 0, 0}, {1, 256, 4}},
        [INTS_6] = {{4, 0, 0}, {2, 256, 4}},
        [INTS_3] = {{2, 0, 0}, {1, 128, 2}},
        [INTS_2] = {{2, 0, 0}},
        [INTS_IQ1_M] = {{0, 0, 0}},
    };
    return i < 2 ? planes[ints][i] : (struct plane){0, 0, 0};
}

/* Line and bit of operand j in a plane. */
static inline int plane_line(int bits, int j)
{
    return bits == 4 ? j % 4 : bits == 2 ? j / 4 : 0;
}

static inline int plane_bit(int bits, int j)
{
    return bits == 4 ? j / 4 * 4 : bits == 2 ? j % 4 * 2 : j;
}

/* The row of a format; NULL if it has none. */
const struct form *form_of(enum format_id format);
#endif
