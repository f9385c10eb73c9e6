/* One half of an attention span, its keys or its values, in integers: a strip of n_row rows of up to 64 lanes. Keys are a
 * strip of a row for each dimension, their 64 positions in the lanes; values are strips of a row for each position,
 * 64 or 32 dimensions each. So keys have their scale per channel and values per token (Liu et al. 2024, KIVI).
 *
 *     strip   scale and least value [n_row up to 16s] as two f16 | codes [n_row]
 *     codes   4 bits: groups of 16 lanes in pairs, a byte for each lane, the even group in its low half
 *             8 bits: groups one after another
 *
 * A row says w = fma(code, scale, least). Its least value is one of its own, so that no code is negative; a row that is not
 * finite has NaN for a scale. */
#ifndef LATHE_KERN_SPAN_H
#define LATHE_KERN_SPAN_H
#include "kern/kern.h"

enum { STRIP_LANES = 64, STRIP_GROUPS = STRIP_LANES / LANES };

struct strip_row {
    uint16_t scale, least; /* f16 */
};
_Static_assert(sizeof(struct strip_row) == 4, "strip_row layout");

/* `format`: Q4_1 or Q8_1, whose blocks also have a scale and a second number. */
static inline int strip_bits(enum format_id format)
{
    return format == FORMAT_Q4_1 ? 4 : 8;
}
/* Codes of a row. */
static inline int strip_code_bytes(enum format_id format, int n_group)
{
    return format == FORMAT_Q4_1 ? (n_group + 1) / 2 * LANES : n_group * LANES;
}
static inline size_t strip_head_bytes(int n_row)
{
    return (size_t)((n_row + LANES - 1) / LANES * LANES) * sizeof(struct strip_row);
}
static inline size_t strip_bytes(enum format_id format, int n_group, int n_row)
{
    return strip_head_bytes(n_row) + (size_t)n_row * (size_t)strip_code_bytes(format, n_group);
}
#endif
