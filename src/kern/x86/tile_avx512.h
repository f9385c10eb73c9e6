/* The AVX-512 VNNI int8 tile: 16 rows in the lanes of one register times up to 12 tokens, made for each form.
 *
 * Per block of 32 columns every token's eight 4-byte groups are broadcast from memory into vpdpbusd, the
 * weights stay unpacked in registers (form_avx512.h); then one conversion, one multiply (w.d * x.d) and one fused
 * multiply-add per token and block. On Zen 4 the multiply and the fused multiply-add share the ports of
 * vpdpbusd: 8 / (8 + 2) = 80 % of the int8 peak is the bound, 79 % measured with the panel in L2. Formats whose
 * scales of 16 columns are small integers have the same bound: the integers are multiplied by them while they are
 * unpacked, once for all tokens. With scales of 16 columns that are no small integers it is 8 / (8 + 3). */
#ifndef LATHE_KERN_TILE_AVX512_H
#define LATHE_KERN_TILE_AVX512_H
#include "kern/tile_sizes.h"
#include "kern/x86/form_avx512.h"

/* The broadcast as memory operand of the dot itself: compilers split the intrinsic into two instructions, and
 * the tile then runs at 49 % of the int8 peak instead of 72 % (Zen 4, q4_1). */
ALWAYS __m512i dot_broadcast(__m512i sum, __m512i w, const int8_t (*x)[4])
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(w), "m"(*x));
    return sum;
}

/* Tokens from which on weights are multiplied by integer scales. */
enum { MULTIPLY_FROM = 4 };

/* What the sums of a token begin with, for operands that are `offset` too large. */
ALWAYS __m512i minus_offset(int offset, int32_t n8sum)
{
    if (offset == 0)
        return _mm512_setzero_si512();
    return _mm512_set1_epi32(offset % 8 ? n8sum / 8 * offset : n8sum * (offset / 8));
}

/* The minima of a block, times the sums of the token's halves. */
ALWAYS __m512i dot_minima(__m512i mn, const int16_t half[2])
{
    int32_t pair;
    memcpy(&pair, half, 4);
    return _mm512_madd_epi16(mn, _mm512_set1_epi32(pair));
}

ALWAYS __m512 add_sum(struct form f, const struct scales_avx512 *s, __m512i sum, const struct act_block *x,
                      int t, __m512 acc)
{
    __m512 d = _mm512_set1_ps(x->d[t]), dot = _mm512_cvtepi32_ps(sum);
    if (f.math == MATH_INT) {
        dot = _mm512_mul_ps(dot, s->w[0]);
        if (f.has_min)
            dot = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot_minima(s->mn, x->half[t])), s->m, dot);
        return _mm512_fmadd_ps(dot, d, acc);
    }
    acc = _mm512_fmadd_ps(dot, _mm512_mul_ps(s->w[0], d), acc);
    return f.has_min ? _mm512_fmadd_ps(s->m, _mm512_set1_ps(x->s[t]), acc) : acc;
}

/* Lines in the order in which planes of 4 bits are loaded once. */
static const int line_order[8] = {0, 4, 1, 5, 2, 6, 3, 7};

/* A block with one sum a token. */
ALWAYS void block_one(struct form f, const struct scales_avx512 *s, const uint8_t *body, int i,
                      const struct act_block *x, int64_t group_stride, int n, __m512 *acc)
{
    const int offset = f.math == MATH_INT && !f.has_min ? SCALED_OFFSET : f.offset;
    __m512i sum[TILE_TOK];
    UNROLL for (int t = 0; t < n; t++) sum[t] =
        form_has_zero(f) ? dot_minima(s->mn, x[t / ACT_GROUP * group_stride].half[t % ACT_GROUP])
                         : minus_offset(offset, x[t / ACT_GROUP * group_stride].n8sum[t % ACT_GROUP]);
    __m512i w[2];
    UNROLL for (int k = 0; k < 8; k++)
    {
        int j = f.ints == INTS_8 || f.ints >= INTS_TRITS ? k : line_order[k];
        if (f.ints < INTS_IQ2_XXS)
            w[k % 2] = line_avx512(f, body, i, j);
        else if (k % 2 == 0)
            two_lines(f, body, i, k / 2, w);
        if (f.math == MATH_INT)
            w[k % 2] = scaled_avx512(f, s, w[k % 2], j / 4);
        UNROLL for (int t = 0; t < n; t++) sum[t] =
            dot_broadcast(sum[t], w[k % 2], &x[t / ACT_GROUP * group_stride].q[j][t % ACT_GROUP]);
    }
    UNROLL for (int t = 0; t < n; t++) acc[t] =
        add_sum(f, s, sum[t], &x[t / ACT_GROUP * group_stride], t % ACT_GROUP, acc[t]);
}

/* The same for integer scales and few tokens, for which it does not pay to multiply the weights: a half's dot is at
 * most 16 * 7 * 127 and fits the words of vpdpwssd. */
ALWAYS void block_words(struct form f, const struct scales_avx512 *s, const uint8_t *body, int i,
                        const struct act_block *x, int n, __m512 *acc)
{
    const __m512i low_words = _mm512_set1_epi32(0xffff);
    __m512i half[2][MULTIPLY_FROM];
    UNROLL for (int h = 0; h < 2; h++)
    {
        UNROLL for (int t = 0; t < n; t++) half[h][t] = _mm512_setzero_si512();
        UNROLL for (int j = 4 * h; j < 4 * h + 4; j++)
        {
            __m512i w = line_avx512(f, body, i, j);
            UNROLL for (int t = 0; t < n; t++) half[h][t] = dot_broadcast(half[h][t], w, &x->q[j][t]);
        }
    }
    UNROLL for (int t = 0; t < n; t++)
    {
        __m512i both =
            _mm512_ternarylogic_epi32(half[0][t], low_words, _mm512_slli_epi32(half[1][t], 16), 0xea);
        __m512i sum = _mm512_setzero_si512();
        if (f.offset)
            sum = dot_minima(_mm512_mullo_epi16(s->pair, _mm512_set1_epi16((short)-f.offset)), x->half[t]);
        acc[t] = add_sum(f, s, _mm512_dpwssd_epi32(sum, both, s->pair), x, t, acc[t]);
    }
}

/* A block with a sum for each half. The lines stay in registers while groups of four tokens go over them: sums of
 * all tokens at once would need more than there are. */
ALWAYS void block_two(struct form f, const struct scales_avx512 *s, const uint8_t *body, int i,
                      const struct act_block *x, int64_t group_stride, int n, __m512 *acc)
{
    __m512i w[8];
    UNROLL for (int g = 0; g < 4; g++) two_lines(f, body, i, g, w + 2 * g);
    UNROLL for (int t = 0; t < n; t += ACT_GROUP)
    {
        const struct act_block *b = &x[t / ACT_GROUP * group_stride];
        __m512i sum[ACT_GROUP][2];
        const int n_here = n - t < ACT_GROUP ? n - t : ACT_GROUP;
        UNROLL for (int u = 0; u < n_here; u++) UNROLL for (int h = 0; h < 2; h++)
        {
            sum[u][h] = minus_offset(f.offset, -8 * b->half[u][h]);
            UNROLL for (int j = 0; j < 4; j++) sum[u][h] =
                dot_broadcast(sum[u][h], w[4 * h + j], &b->q[4 * h + j][u]);
        }
        UNROLL for (int u = 0; u < n_here; u++)
        {
            __m512 both = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[u][0]), s->w[0]);
            both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[u][1]), s->w[1], both);
            acc[t + u] = _mm512_fmadd_ps(both, _mm512_set1_ps(b->d[u]), acc[t + u]);
        }
    }
}

ALWAYS void tile_block(struct form f, const uint8_t *head, int slot, const uint8_t *body, int i,
                       const struct act_block *x, int64_t group_stride, int n, __m512 *acc)
{
    struct scales_avx512 s;
    scales_avx512(f, head, slot, body, i, &s);
    if (f.math == MATH_16)
        block_two(f, &s, body, i, x, group_stride, n, acc);
    else if (f.math == MATH_INT && n < MULTIPLY_FROM)
        block_words(f, &s, body, i, x, n, acc);
    else
        block_one(f, &s, body, i, x, group_stride, n, acc);
}

/* One token reads plain nibbles, and two plain bytes, as fast as memory gives them: the hardware's streams do best alone. Where there
 * is more to compute, the reads come too far apart for those (Zen 4, share of the read bandwidth without and with: one token
 * of MXFP4 79 and 92 %, Q3_K 70 and 90, Q5_K 78 and 88, IQ4_XS 81 and 90; two of Q4_0 80 and 88, IQ4_NL 78 and 87, Q8_0 93 and 84). */
ALWAYS bool asks_ahead(struct form f, int n)
{
    bool plain = f.scales == SCALES_HALF;
    if (plain && f.ints == INTS_8)
        return n > 2;
    return n > 1 || !(plain && (f.ints == INTS_4 || f.ints == INTS_IQ4));
}

ALWAYS void look_ahead(const uint8_t *at, int n_bytes)
{
    for (int i = 0; i < n_bytes; i += 64)
        _mm_prefetch((const char *)at + TILE_AHEAD_BYTES + i, _MM_HINT_T1);
}

/* Formats of blocks of 32 in pairs, both halves in line. */
ALWAYS void tile_pairs(struct form f, const uint8_t *panel, int n_block, const struct act_block *x,
                       int64_t group_stride, int n, __m512 *acc)
{
    const int bytes = form_group_bytes(f);
    for (int b = 0; b + 1 < n_block; b += 2, panel += bytes) {
        if (asks_ahead(f, n))
            look_ahead(panel, bytes);
        tile_block(f, panel, 0, panel + f.head_bytes, 0, x + b, group_stride, n, acc);
        tile_block(f, panel, 1, panel + f.head_bytes + f.int_bytes, 0, x + b + 1, group_stride, n, acc);
    }
    if (n_block % 2)
        tile_block(f, panel, 0, panel + f.head_bytes, 0, x + n_block - 1, group_stride, n, acc);
}

ALWAYS void tile_supers(struct form f, const uint8_t *panel, int n_block, const struct act_block *x,
                        int64_t group_stride, int n, __m512 *acc)
{
    const uint8_t *head = panel, *body = panel + f.head_bytes;
    for (int b = 0, slot = 0; b < n_block; b += f.n_block) {
        for (int i = 0; i < f.n_block; i++, x++) {
            if (asks_ahead(f, n))
                look_ahead(body + i * form_ahead_bytes(f), form_ahead_bytes(f));
            tile_block(f, head, slot, body, i, x, group_stride, n, acc);
        }
        body += form_super_bytes(f);
        if (++slot == f.n_super) {
            slot = 0;
            head = body;
            body += f.head_bytes;
        }
    }
}

ALWAYS void tile_dot_n(struct form f, const uint8_t *panel, int n_block, const struct act_block *x,
                       int64_t group_stride, int n, int n_tok, bool add, float *y, int64_t y_stride)
{
    __m512 acc[TILE_TOK];
    UNROLL for (int t = 0; t < n; t++) acc[t] = _mm512_setzero_ps();
    if (f.n_block == 1 && f.n_super == 2)
        tile_pairs(f, panel, n_block, x, group_stride, n, acc);
    else
        tile_supers(f, panel, n_block, x, group_stride, n, acc);
    UNROLL for (int t = 0; t < n; t++) if (t < n_tok)
    {
        __m512 old = add ? _mm512_loadu_ps(y + t * y_stride) : _mm512_setzero_ps();
        _mm512_storeu_ps(y + t * y_stride, add ? _mm512_add_ps(old, acc[t]) : acc[t]);
    }
}

#define TILE_DOT(name, f)       \
    void name(TILE_ARGS)        \
    {                           \
        TILE_ANY(tile_dot_n, f) \
    }
#endif
