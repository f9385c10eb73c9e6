/* INT4_32, INT4_64, INT4_128: 32, 64 or 128 weights in 19, 35 or 67 bytes, w = d * (q - z). What GPTQ, AWQ and
 * compressed-tensors publish, with each row's integers together.
 *
 *     byte 0..2          d and z (int_scale.h)
 *     byte 3+i, i < n/2  low nibble q[2i], high nibble q[2i+1]
 *
 * d * (q - z) has at most 11 + 5 bits and is exact. Groups of another size that is a multiple of 32, whole rows among them,
 * are several blocks of one scale. */
#include "quant/int_scale.h"

struct int4_32 {
    uint8_t scale[INT_SCALE_BYTES], q[16];
};
struct int4_64 {
    uint8_t scale[INT_SCALE_BYTES], q[32];
};
struct int4_128 {
    uint8_t scale[INT_SCALE_BYTES], q[64];
};
_Static_assert(sizeof(struct int4_32) == 19 && sizeof(struct int4_64) == 35 && sizeof(struct int4_128) == 67,
               "blocks of int4");

static void take(const uint8_t *restrict x, int n, struct parts *restrict p)
{
    p->d[0] = take_u16(x);
    p->mn[0] = x[2];
    for (int i = 0; i < n / 2; i++) {
        p->q[2 * i] = x[INT_SCALE_BYTES + i] & 15;
        p->q[2 * i + 1] = x[INT_SCALE_BYTES + i] >> 4;
    }
}

static void put(const struct parts *p, int n, uint8_t *x)
{
    put_u16(x, p->d[0]);
    x[2] = p->mn[0];
    for (int i = 0; i < n / 2; i++)
        x[INT_SCALE_BYTES + i] = (uint8_t)(p->q[2 * i] | p->q[2 * i + 1] << 4);
}

static void columns(const struct parts *p, int i, struct columns *c)
{
    columns_codes(p, i, p->mn[0] & 31, c);
    columns_scale(c, int_scale(p->d[0], p->mn[0]));
}

INT_BLOCK(INT4_32, 32)
INT_BLOCK(INT4_64, 64)
INT_BLOCK(INT4_128, 128)
