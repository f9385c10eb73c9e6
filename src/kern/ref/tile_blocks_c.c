/* int8 tiles and unpacking of formats by their parts, in plain C: the specification. */
#include "kern/panel.h"
#include "kern/panel_blocks.h"

/* A token's integers of a block, in order. */
static void integers_of(const struct act_block *x, int t, int16_t q[ACT_BLOCK])
{
    for (int k = 0; k < ACT_BLOCK; k++)
        q[k] = x->q[k / 4][t][k % 4];
}

static int32_t half_dot(const int16_t *a, const int16_t *b)
{
    int32_t sum = 0;
    for (int k = 0; k < 16; k++)
        sum += a[k] * b[k];
    return sum;
}

/* A block's columns c of a row times token t of x, whose integers are q. */
static float add_block(const struct form *f, const struct columns *c, const struct act_block *x, int t,
                       const int16_t q[ACT_BLOCK], float acc)
{
    int32_t low = half_dot(c->q, q), high = half_dot(c->q + 16, q + 16);
    if (f->math == MATH_32) {
        acc = __builtin_fmaf((float)(low + high), c->w[0] * x->d[t], acc);
        return f->has_min ? __builtin_fmaf(c->m[0], x->s[t], acc) : acc;
    }
    if (f->math == MATH_16) {
        float both = __builtin_fmaf((float)high, c->w[1], (float)low * c->w[0]);
        return __builtin_fmaf(both, x->d[t], acc);
    }
    float sum = (float)(low * c->sc[0] + high * c->sc[1]) * c->d;
    if (f->has_min)
        sum = __builtin_fmaf((float)(x->half[t][0] * c->mn[0] + x->half[t][1] * c->mn[1]), -c->dmin, sum);
    return __builtin_fmaf(sum, x->d[t], acc);
}

static void tile_dot(const struct form *f, const uint8_t *panel, int n_block, const struct act_block *x,
                     int64_t group_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    const struct format *format = format_by_id((uint32_t)f->format);
    struct parts p[LANES];
    struct columns c[LANES];
    float acc[TILE_TOK][LANES] = {{0}};
    for (int b = 0; b < n_block; b++) {
        for (int r = 0; r < LANES; r++) {
            if (b % f->n_block == 0)
                blocks_get(f, panel, b / f->n_block, r, &p[r]);
            format->columns(&p[r], b % f->n_block, &c[r]);
        }
        for (int t = 0; t < n_tok; t++) {
            const struct act_block *xt = &x[t / ACT_GROUP * group_stride + b];
            int16_t q[ACT_BLOCK];
            integers_of(xt, t % ACT_GROUP, q);
            for (int r = 0; r < LANES; r++)
                acc[t][r] = add_block(f, &c[r], xt, t % ACT_GROUP, q, acc[t][r]);
        }
    }
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < LANES; r++)
            y[t * y_stride + r] = add ? y[t * y_stride + r] + acc[t][r] : acc[t][r];
}

static void unpack(const struct form *f, const uint8_t *panel, int k0, int n_k, float *out)
{
    const struct format *format = format_by_id((uint32_t)f->format);
    struct parts p;
    float w[ACT_BLOCK];
    for (int r = 0; r < LANES; r++)
        for (int b = k0 / ACT_BLOCK; b < (k0 + n_k) / ACT_BLOCK; b++) {
            float *to = out + (size_t)(b - k0 / ACT_BLOCK) * ACT_BLOCK * LANES + r;
            if (b % f->n_block == 0 || b == k0 / ACT_BLOCK)
                blocks_get(f, panel, b / f->n_block, r, &p);
            parts_decode(format, &p, b % f->n_block, w);
            for (int k = 0; k < ACT_BLOCK; k++)
                to[k * LANES] = w[k];
        }
}

#define ROWS(OF, of, isa)                                                                             \
    void tile_dot_##of##_##isa(const uint8_t *panel, int n_block, const struct act_block *x,          \
                               int64_t group_stride, int n_tok, bool add, float *y, int64_t y_stride) \
    {                                                                                                 \
        tile_dot(&form_##OF, panel, n_block, x, group_stride, n_tok, add, y, y_stride);               \
    }                                                                                                 \
    void unpack_##of##_##isa(const uint8_t *panel, int k0, int n_k, float *out)                       \
    {                                                                                                 \
        unpack(&form_##OF, panel, k0, n_k, out);                                                      \
    }

KERN_BLOCK_TYPES(ROWS, c)
