/* INT8_32, INT8_128: 32 or 128 weights in 35 or 131 bytes, w = d * q. Rows with one scale (int8 per channel) and groups are
 * blocks of the same scale; the short block is for rows that are no multiple of 128.
 *
 *     byte 0..2         d (int_scale.h), zero point 0
 *     byte 3+i, i < n   q[i], signed
 */
#include "quant/int_scale.h"

struct int8_32 {
    uint8_t scale[INT_SCALE_BYTES];
    int8_t q[32];
};
struct int8_128 {
    uint8_t scale[INT_SCALE_BYTES];
    int8_t q[128];
};
_Static_assert(sizeof(struct int8_32) == 35 && sizeof(struct int8_128) == 131, "blocks of int8");

static void take(const uint8_t *restrict x, int n, struct parts *restrict p)
{
    p->d[0] = take_u16(x);
    p->mn[0] = x[2];
    for (int i = 0; i < n; i++)
        p->q[i] = x[INT_SCALE_BYTES + i] ^ 0x80;
}

static void put(const struct parts *p, int n, uint8_t *x)
{
    put_u16(x, p->d[0]);
    x[2] = p->mn[0];
    for (int i = 0; i < n; i++)
        x[INT_SCALE_BYTES + i] = p->q[i] ^ 0x80;
}

static void columns(const struct parts *p, int i, struct columns *c)
{
    columns_codes(p, i, 128, c);
    columns_scale(c, int_scale(p->d[0], p->mn[0]));
}

INT_BLOCK(INT8_32, 32)
INT_BLOCK(INT8_128, 128)
