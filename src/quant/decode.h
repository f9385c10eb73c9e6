/* The functions behind the rows of quant/format.h, one file a format. Everybody else goes through the table.
 *
 *   FLOATS  decode_X   y[n] = the weights at x
 *   TAKES   take_X     the parts of the block at x
 *           columns_X  what columns 32 i .. 32 i + 31 of a block mean
 *   BLOCKS  and put_X  the block at x of its parts: what take_X took, byte for byte
 *
 * x may be any address. */
#ifndef LATHE_QUANT_DECODE_H
#define LATHE_QUANT_DECODE_H
#include <string.h>
#include "quant/parts.h"

#define DECLARE_FLOATS(name) void decode_##name(const void *x, float *y, int64_t n);
#define DECLARE_TAKES(name)                                                \
    void take_##name(const uint8_t *restrict x, struct parts *restrict p); \
    void columns_##name(const struct parts *p, int i, struct columns *c);
#define DECLARE_BLOCKS(name) \
    DECLARE_TAKES(name)      \
    void put_##name(const struct parts *p, uint8_t *x);
#define DECLARE_NO(name)
#define X(name, id, block, bytes, kind) DECLARE_##kind(name)
FORMATS(X)
#undef X

static inline uint16_t take_u16(const uint8_t *x)
{
    return (uint16_t)(x[0] | x[1] << 8);
}

static inline uint32_t take_u32(const uint8_t *x)
{
    return take_u16(x) | (uint32_t)take_u16(x + 2) << 16;
}

static inline void put_u16(uint8_t *x, uint16_t v)
{
    x[0] = (uint8_t)v;
    x[1] = (uint8_t)(v >> 8);
}

static inline void put_u32(uint8_t *x, uint32_t v)
{
    put_u16(x, (uint16_t)v);
    put_u16(x + 2, (uint16_t)(v >> 16));
}

/* One scale for all 32 columns; no minimum: -0 is what changes no sum. */
static inline void columns_scale(struct columns *c, float w)
{
    c->w[0] = c->w[1] = w;
    c->m[0] = c->m[1] = -0.0f;
}

/* q[k] = codes 32 i + k, less an offset. */
static inline void columns_codes(const struct parts *p, int i, int offset, struct columns *c)
{
    for (int k = 0; k < 32; k++)
        c->q[k] = (int16_t)(p->q[32 * i + k] - offset);
}
#endif
