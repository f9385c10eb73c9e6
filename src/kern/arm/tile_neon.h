/* The NEON int8 tile: 16 rows as quarters of 4 times up to 12 tokens, made for each form and each of three instruction
 * sets: what every aarch64 core has, the dot products (both dot_neon.h), the matrix products (mmla_neon.h).
 *
 * A register of sums ("out") holds 4 rows of one token, or 2 rows of 2 tokens: as many outs for a quarter of the rows as
 * there are tokens. Each has an int32 sum of the block and an f32 sum of all blocks, so 12 tokens take 24 of the 32
 * registers and one quarter of the rows; fewer tokens take more quarters. Weights are unpacked once for all tokens
 * of a call, whose panel goes through the first-level cache in chunks of 16 blocks. */
#ifndef LATHE_KERN_TILE_NEON_H
#define LATHE_KERN_TILE_NEON_H
#include "kern/arm/form_neon.h"
#include "kern/tile_sizes.h"

enum { CHUNK = 16, QUARTERS = 4 }; /* blocks; whole groups of every form */

/* A chunk of a panel and of the activations that go with it. */
struct chunk {
    const uint8_t *panel; /* where a group of super-blocks begins */
    int n_block;
    const struct act_block *x;
    int64_t stride;       /* of token groups */
    const int8_t *lines;  /* formats with a grid: the operands, [block][8][16 rows][4] */
    const int8_t *pairs;  /* matrix products: the activations (mmla_neon.h) */
    const int32_t *begin; /* from FROM_MEMORY tokens on: what their sums begin with, [block][START_OUTS][4] */
};

/* Beginnings of sums are loaded where all quarters of the rows want them: loads are free beside the products, and copies of a
 * lane are not (Neoverse N1's model, q4_0: 83 cycles a block with, 77 without). */
enum { FROM_MEMORY = 8 };

/* Operand j of block i of a super-block, b of the chunk. */
ALWAYS int8x16_t operand(struct form f, const struct chunk *c, const uint8_t *body, int p, int i, int b,
                         int j)
{
    if (f.scales == SCALES_GRID)
        return vld1q_s8(c->lines + (b * 8 + j) * 64 + 16 * p);
    return line_neon(f, body, p, i, j);
}

#ifdef __ARM_FEATURE_MATMUL_INT8
#include "kern/arm/mmla_neon.h"
#else
#include "kern/arm/dot_neon.h"
#endif

/* What the sums of 4 tokens begin with, for operands that are too large: of all columns, of half h. */
ALWAYS int32x4_t start_all(struct form f, const struct act_block *x)
{
    const int offset = offset_neon(f);
    int32x4_t v = vld1q_s32(x->n8sum); /* a multiple of 8 */
    if (offset % 8)
        return vmulq_n_s32(v >> 3, offset);
    return offset == 8 ? v : vmulq_n_s32(v, offset / 8);
}

ALWAYS int32x4_t half_sums(const struct act_block *x, int h)
{
    return vmovl_s16(vld2_s16(x->half[0]).val[h]);
}

/* The chunk's beginnings of sums. */
ALWAYS void starts_of(struct form f, const struct chunk *c, int n, int32_t *begin)
{
    if (!offset_neon(f) || n < FROM_MEMORY || f.math != MATH_32)
        return;
    for (int b = 0; b < c->n_block; b++)
        UNROLL for (int o = 0; o < n; o++) if (out_start(n, o) == o)
            vst1q_s32(begin + 4 * (b * START_OUTS + o),
                      out_tokens_s32(start_all(f, c->x + b + out_group(n, o) * c->stride), n, o));
}

ALWAYS void start_sums(struct form f, const struct act_block *x, const int32_t *begin, int64_t stride,
                       int n_quarter, int n, int half, int32x4_t *sum)
{
    UNROLL for (int o = 0; o < n; o++)
    {
        int32x4_t start = vdupq_n_s32(0);
        if (offset_neon(f) && n >= FROM_MEMORY && half < 0) {
            start = vld1q_s32(begin + 4 * out_start(n, o));
        } else if (offset_neon(f)) {
            const struct act_block *group = x + out_group(n, o) * stride;
            int32x4_t all =
                half < 0 ? start_all(f, group) : vmulq_n_s32(half_sums(group, half), -offset_neon(f));
            start = out_tokens_s32(all, n, o);
        }
        UNROLL for (int r = 0; r < n_quarter; r++) sum[r * n + o] = start;
    }
}

/* A block with one sum: acc = fma(dot, w * x.d, acc), then fma(m, x.s, acc). */
ALWAYS void block_one(struct form f, const struct chunk *c, const uint8_t *head, int slot,
                      const uint8_t *body, int i, int b, int p, int n_quarter, int n, float32x4_t *acc)
{
    int32x4_t sum[TILE_TOK];
    const struct act_block *x = c->x + b;
    start_sums(f, x, c->begin + 4 * b * START_OUTS, c->stride, n_quarter, n, -1, sum);
    dot_lines(f, c, body, p, i, b, 0, 8, n_quarter, n, sum);
    UNROLL for (int r = 0; r < n_quarter; r++)
    {
        struct scales_neon s;
        scales_neon(f, head, slot, body, p + r, i, &s);
        UNROLL for (int o = 0; o < n; o++)
        {
            const struct act_block *group = x + out_group(n, o) * c->stride;
            float32x4_t *a = &acc[r * n + o];
            if (form_has_zero(f))
                sum[r * n + o] =
                    vmlsq_s32(sum[r * n + o], out_rows_s32(s.mn[0], n, o),
                              out_tokens_s32(vaddq_s32(half_sums(group, 0), half_sums(group, 1)), n, o));
            float32x4_t w = vmulq_f32(out_rows_f32(s.w[0], n, o), out_number(c, b, group->d, n, o, 0));
            *a = vfmaq_f32(*a, vcvtq_f32_s32(sum[r * n + o]), w);
            if (f.has_min)
                *a = vfmaq_f32(*a, out_rows_f32(s.m, n, o), out_number(c, b, group->s, n, o, 1));
        }
    }
}

/* The minima of a block, times the sums of the token's halves, times -dmin, added to u. */
ALWAYS float32x4_t add_minima(const struct scales_neon *s, const struct act_block *group, int n, int o,
                              float32x4_t u)
{
    int32x4_t low = vmulq_s32(out_rows_s32(s->mn[0], n, o), out_tokens_s32(half_sums(group, 0), n, o));
    low = vmlaq_s32(low, out_rows_s32(s->mn[1], n, o), out_tokens_s32(half_sums(group, 1), n, o));
    return vfmaq_f32(u, vcvtq_f32_s32(low), out_rows_f32(s->m, n, o));
}

/* A block with scales of 16 columns: a sum for each half. */
ALWAYS void block_two(struct form f, const struct chunk *c, const uint8_t *head, int slot,
                      const uint8_t *body, int i, int b, int p, int n_quarter, int n, float32x4_t *acc)
{
    struct scales_neon s[QUARTERS];
    int32x4_t sum[TILE_TOK], low[TILE_TOK];
    float32x4_t both[TILE_TOK];
    const struct act_block *x = c->x + b;
    UNROLL for (int r = 0; r < n_quarter; r++) scales_neon(f, head, slot, body, p + r, i, &s[r]);
    UNROLL for (int h = 0; h < 2; h++)
    {
        start_sums(f, x, c->begin + 4 * b * START_OUTS, c->stride, n_quarter, n, h, sum);
        dot_lines(f, c, body, p, i, b, 4 * h, 4 * h + 4, n_quarter, n, sum);
        UNROLL for (int k = 0; k < n_quarter * n; k++)
        {
            const struct scales_neon *t = &s[k / n];
            if (f.math == MATH_INT) {
                int32x4_t sc = out_rows_s32(t->sc[h], n, k % n);
                low[k] = h == 0 ? vmulq_s32(sum[k], sc) : vmlaq_s32(low[k], sum[k], sc);
            } else {
                float32x4_t w = out_rows_f32(t->w[h], n, k % n), v = vcvtq_f32_s32(sum[k]);
                both[k] = h == 0 ? vmulq_f32(v, w) : vfmaq_f32(both[k], v, w);
            }
        }
    }
    UNROLL for (int k = 0; k < n_quarter * n; k++)
    {
        const struct act_block *group = x + out_group(n, k % n) * c->stride;
        if (f.math == MATH_INT)
            both[k] = vmulq_f32(vcvtq_f32_s32(low[k]), out_rows_f32(s[k / n].w[0], n, k % n));
        if (f.math == MATH_INT && f.has_min)
            both[k] = add_minima(&s[k / n], group, n, k % n, both[k]);
        acc[k] = vfmaq_f32(acc[k], both[k], out_number(c, b, group->d, n, k % n, 0));
    }
}

ALWAYS void tile_supers(struct form f, const struct chunk *c, int p, int n_quarter, int n, float32x4_t *acc)
{
    const uint8_t *head = c->panel, *body = c->panel + f.head_bytes;
    for (int b = 0, slot = 0; b < c->n_block;) {
        for (int i = 0; i < f.n_block; i++, b++)
            if (f.math == MATH_32)
                block_one(f, c, head, slot, body, i, b, p, n_quarter, n, acc);
            else
                block_two(f, c, head, slot, body, i, b, p, n_quarter, n, acc);
        body += form_super_bytes(f);
        if (++slot == f.n_super) {
            slot = 0;
            head = body;
            body += f.head_bytes;
        }
    }
}

/* n tokens, whose outs so far are part[quarter][n]. */
ALWAYS void tile_chunk(struct form f, const struct chunk *c, int n, float32x4_t *part)
{
    const int n_quarter = n <= 2 ? 4 : n == 4 ? 2 : 1;
    for (int p = 0; p < QUARTERS; p += n_quarter, part += n_quarter * n) {
        float32x4_t acc[TILE_TOK];
        UNROLL for (int k = 0; k < n_quarter * n; k++) acc[k] = part[k];
        tile_supers(f, c, p, n_quarter, n, acc);
        UNROLL for (int k = 0; k < n_quarter * n; k++) part[k] = acc[k];
    }
}

/* Of formats with two sums a block, 8 tokens are as many as there are registers for. */
ALWAYS void tile_tokens(struct form f, struct chunk c, int n, float32x4_t *part)
{
    if (f.math == MATH_32 || n <= 8) {
        tile_chunk(f, &c, n, part);
        return;
    }
    tile_chunk(f, &c, 8, part);
    c.x += 2 * c.stride;
    c.pairs += 2 * PAIRS_GROUP_BYTES;
    tile_chunk(f, &c, 4, part + QUARTERS * 8);
}

ALWAYS void store_outs(const float32x4_t *part, int n, int n_tok, bool add, float *y, int64_t y_stride)
{
    for (int p = 0; p < QUARTERS; p++)
        UNROLL for (int t = 0; t < n; t++) if (t < n_tok)
        {
            float *to = y + t * y_stride + 4 * p;
            float32x4_t v = out_of_token(part + p * n, n, t);
            vst1q_f32(to, add ? vaddq_f32(vld1q_f32(to), v) : v);
        }
}

/* n: tokens computed, a constant; n_tok <= n: tokens stored. */
ALWAYS void tile_dot_n(struct form f, const uint8_t *panel, int n_block, const struct act_block *x,
                       int64_t stride, int n, int n_tok, bool add, float *y, int64_t y_stride)
{
    float32x4_t part[QUARTERS * TILE_TOK];
    int8_t lines[CHUNK * 512], pairs[PAIRS_BYTES];
    int32_t begin[CHUNK * START_OUTS * 4];
    UNROLL for (int k = 0; k < QUARTERS * n; k++) part[k] = vdupq_n_f32(0);
    for (int b = 0; b < n_block; b += CHUNK) {
        struct chunk c = {panel, n_block - b < CHUNK ? n_block - b : CHUNK, x + b, stride, lines, pairs,
                          begin};
        if (f.scales == SCALES_GRID)
            for (int k = 0; k < c.n_block; k++) {
                struct form_place at = form_place(f, k / f.n_block);
                grid_lines(f, panel + at.body, k % f.n_block, lines + k * 512);
            }
        pairs_of(&c, n, pairs);
        starts_of(f, &c, n, begin);
        tile_tokens(f, c, n, part);
        panel += CHUNK / (f.n_block * f.n_super) * form_group_bytes(f);
    }
    if (f.math == MATH_32 || n <= 8) {
        store_outs(part, n, n_tok, add, y, y_stride);
    } else {
        store_outs(part, 8, 8, add, y, y_stride);
        store_outs(part + QUARTERS * 8, 4, n_tok - 8, add, y + 8 * y_stride, y_stride);
    }
}

#ifndef __ARM_FEATURE_MATMUL_INT8
#define TILE_DOT(name, f)       \
    void name(TILE_ARGS)        \
    {                           \
        TILE_ANY(tile_dot_n, f) \
    }
#else
/* Matrix products would be half empty with one token, and gain little with two: `few` does those. */
#define TILE_DOT(name, few, f)                                       \
    void name(TILE_ARGS)                                             \
    {                                                                \
        if (n_tok <= 2)                                              \
            few(panel, n_block, x, stride, n_tok, add, y, y_stride); \
        else                                                         \
            TILE_MANY(tile_dot_n, f)                                 \
    }
#endif
#endif
