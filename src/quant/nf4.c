/* NF4: 64 weights in 36 bytes, w = d * level of q (Dettmers et al. 2023, appendix E). The scales of bitsandbytes, in 8 bits
 * with a second scale, are multiplied out: they are products of f32 and need all of it.
 *
 *     byte 0..3            d, f32
 *     byte 4+i, i < 32     high nibble q[2i], low nibble q[2i+1]
 *
 * For dots of integers the levels are 124.1ths: of all divisors up to 127 that one is nearest to them. What it adds to the squared
 * error of a normal distribution's weights is 0.27 % of it (0.44 with 127ths). Decoding is exact. */
#include "quant/decode.h"

const float nf4_levels[16] = {-1.0f,
                              -0.6961928009986877f,
                              -0.5250730514526367f,
                              -0.39491748809814453f,
                              -0.28444138169288635f,
                              -0.18477343022823334f,
                              -0.09105003625154495f,
                              0.0f,
                              0.07958029955625534f,
                              0.16093020141124725f,
                              0.24611230194568634f,
                              0.33791524171829224f,
                              0.44070982933044434f,
                              0.5626170039176941f,
                              0.7229568362236023f,
                              1.0f};
const int8_t nf4_values[16] = {-124, -86, -65, -49, -35, -23, -11, 0, 10, 20, 31, 42, 55, 70, 90, 124};

struct nf4 {
    uint8_t scale[4], q[32];
};
_Static_assert(sizeof(struct nf4) == 36, "a block of NF4");

static float scale_of(const struct parts *p)
{
    uint32_t bits = p->d[0] | (uint32_t)p->d[1] << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

void take_NF4(const uint8_t *restrict x, struct parts *restrict p)
{
    p->d[0] = take_u16(x);
    p->d[1] = take_u16(x + 2);
    for (int i = 0; i < 32; i++) {
        p->q[2 * i] = x[4 + i] >> 4;
        p->q[2 * i + 1] = x[4 + i] & 15;
    }
}

void put_NF4(const struct parts *p, uint8_t *x)
{
    put_u16(x, p->d[0]);
    put_u16(x + 2, p->d[1]);
    for (int i = 0; i < 32; i++)
        x[4 + i] = (uint8_t)(p->q[2 * i] << 4 | p->q[2 * i + 1]);
}

void columns_NF4(const struct parts *p, int i, struct columns *c)
{
    for (int k = 0; k < 32; k++)
        c->q[k] = nf4_values[p->q[32 * i + k]];
    c->level = nf4_levels;
    c->d = scale_of(p);
    columns_scale(c, c->d * NF4_STEP);
}
