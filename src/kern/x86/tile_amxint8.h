/* The AMX int8 tile: 16 rows times up to 12 tokens, made for each form, with the sums of AVX-512 VNNI's (tile_avx512.h).
 *
 *     sums [token][row] = activations [token][32 columns] x weights [4 columns][row][column % 4]
 *
 * A line of a panel's block is a row of the second factor as it lies, unpacked by form_avx512.h into 512 bytes of the
 * first-level cache (8-bit weights are read in place). Activations have the tokens of a group interleaved; two
 * permutations a group make 32 bytes a token of them. Scales change every 32 columns, so that a product is half a tile
 * deep, and the sums of each block go through memory to the lanes that convert and scale them: two conversions and
 * multiplications a token remain of what AVX-512 VNNI does, in place of the eight dots that the tiles take over. A block
 * is multiplied before the one before it is scaled, so that neither waits for the other.
 *
 * Scales of 16 columns that are numbers take two products, a quarter of a tile deep. */
#ifndef LATHE_KERN_TILE_AMXINT8_H
#define LATHE_KERN_TILE_AMXINT8_H
#include "kern/x86/amx_tiles.h"
#include "kern/x86/tile_avx512.h"

#define SUMS 0      /* [token][row] */
#define SUMS_HIGH 1 /* of columns 16..31, where they have a scale of their own */
#define ACTS 2      /* [token][32 bytes] */
#define LINES 3     /* [8][row][4] */
#define ACTS_16 4   /* the same of 16 columns */
#define LINES_16 5

/* Of 4, 8 and 12 tokens. */
#define TILES(n)                                                                      \
    {                                                                                 \
        .palette = 1, .colsb = {64, 64, 32, 64, 16, 64}, .rows = { n, n, n, 8, n, 4 } \
    }
static const struct amx_config configs[] = {TILES(4), TILES(8), TILES(12)};

/* What goes through memory between a block's product and its scales. */
struct amx_sums {
    _Alignas(64) int32_t of[2][TILE_TOK][LANES];
};

struct amx_operands {
    _Alignas(64) uint8_t acts[TILE_TOK][ACT_BLOCK], lines[8][64];
};

/* q[j][t] of a group becomes 32 bytes of each token. */
ALWAYS void stage_acts(const struct act_block *x, uint8_t (*to)[ACT_BLOCK])
{
    const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
    const __m512i low = _mm512_loadu_si512(x->q), high = _mm512_loadu_si512(x->q[4]);
    const __m512i next = _mm512_add_epi32(first, _mm512_set1_epi32(2));
    _mm512_store_si512((void *)to, _mm512_permutex2var_epi32(low, first, high));
    _mm512_store_si512((void *)(to + 2), _mm512_permutex2var_epi32(low, next, high));
}

/* Unpacked and, with integer scales, multiplied by them. */
ALWAYS const uint8_t *stage_lines(struct form f, const struct scales_avx512 *s, const uint8_t *body, int i,
                                  uint8_t (*to)[64])
{
    UNROLL for (int g = 0; g < 4; g++)
    {
        __m512i w[2];
        two_lines(f, body, i, g, w);
        UNROLL for (int k = 0; k < 2; k++) _mm512_store_si512(
            to[2 * g + k], f.math == MATH_INT ? scaled_avx512(f, s, w[k], (2 * g + k) / 4) : w[k]);
    }
    return to[0];
}

/* The exact dots of a block, of operands that are too large by an offset. */
ALWAYS void multiply(struct form f, const struct scales_avx512 *s, const uint8_t *body, int i,
                     const struct act_block *x, int64_t group_stride, int n, struct amx_sums *sums,
                     struct amx_model *m)
{
    struct amx_operands in;
    for (int t = 0; t < n; t += ACT_GROUP)
        stage_acts(&x[t / ACT_GROUP * group_stride], in.acts + t);
    const uint8_t *lines =
        f.ints == INTS_8 ? body + f.scale_bytes + i * f.int_bytes : stage_lines(f, s, body, i, in.lines);
    tile_zero(m, SUMS);
    if (f.math == MATH_16) {
        tile_load(m, ACTS_16, in.acts[0], ACT_BLOCK);
        tile_load(m, LINES_16, lines, 64);
        tile_dot_su(m, SUMS, ACTS_16, LINES_16);
        tile_store(m, SUMS, sums->of[0], 64);
        tile_zero(m, SUMS_HIGH);
        tile_load(m, ACTS_16, in.acts[0] + 16, ACT_BLOCK);
        tile_load(m, LINES_16, lines + 256, 64);
        tile_dot_su(m, SUMS_HIGH, ACTS_16, LINES_16);
        tile_store(m, SUMS_HIGH, sums->of[1], 64);
        return;
    }
    tile_load(m, ACTS, in.acts[0], ACT_BLOCK);
    tile_load(m, LINES, lines, 64);
    tile_dot_su(m, SUMS, ACTS, LINES);
    tile_store(m, SUMS, sums->of[0], 64);
}

ALWAYS __m512 add_halves(struct form f, const struct scales_avx512 *s, const struct amx_sums *sums,
                         const struct act_block *x, int t, __m512 acc)
{
    const int u = t % ACT_GROUP;
    __m512i low = _mm512_load_si512(sums->of[0][t]), high = _mm512_load_si512(sums->of[1][t]);
    low = _mm512_add_epi32(low, minus_offset(f.offset, -8 * x->half[u][0]));
    high = _mm512_add_epi32(high, minus_offset(f.offset, -8 * x->half[u][1]));
    __m512 both = _mm512_mul_ps(_mm512_cvtepi32_ps(low), s->w[0]);
    both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), s->w[1], both);
    return _mm512_fmadd_ps(both, _mm512_set1_ps(x->d[u]), acc);
}

ALWAYS void scale(struct form f, const struct scales_avx512 *s, const struct amx_sums *sums,
                  const struct act_block *x, int64_t group_stride, int n, __m512 *acc)
{
    const int offset = f.math == MATH_INT && !f.has_min ? SCALED_OFFSET : f.offset;
    UNROLL for (int t = 0; t < n; t++)
    {
        const struct act_block *xt = &x[t / ACT_GROUP * group_stride];
        if (f.math == MATH_16) {
            acc[t] = add_halves(f, s, sums, xt, t, acc[t]);
            continue;
        }
        __m512i sum = _mm512_load_si512(sums->of[0][t]);
        if (form_has_zero(f))
            sum = _mm512_add_epi32(sum, dot_minima(s->mn, xt->half[t % ACT_GROUP]));
        else if (offset)
            sum = _mm512_add_epi32(sum, minus_offset(offset, xt->n8sum[t % ACT_GROUP]));
        acc[t] = add_sum(f, s, sum, xt, t % ACT_GROUP, acc[t]);
    }
}

/* n: tokens computed, 4, 8 or 12, a constant; n_tok <= n: tokens stored. Absent tokens of a group are zero. */
ALWAYS void tile_amx_n(struct form f, const uint8_t *panel, int n_block, const struct act_block *x,
                       int64_t group_stride, int n, int n_tok, bool add, float *y, int64_t y_stride)
{
    __m512 acc[TILE_TOK];
    struct amx_sums sums[2];
    TILES_NEW(m);
    struct scales_avx512 s[2];
    UNROLL for (int t = 0; t < n; t++) acc[t] = _mm512_setzero_ps();
    tiles_configure(m, &configs[n / ACT_GROUP - 1]);
    for (int b = 0; b <= n_block; b++) {
        if (b < n_block) {
            const struct form_place at = form_place(f, b / f.n_block);
            const uint8_t *body = panel + at.body;
            const int i = b % f.n_block;
            look_ahead(body + i * form_ahead_bytes(f), form_ahead_bytes(f));
            scales_avx512(f, panel + at.head, at.slot, body, i, &s[b % 2]);
            multiply(f, &s[b % 2], body, i, x + b, group_stride, n, &sums[b % 2], m);
        }
        if (b > 0)
            scale(f, &s[(b - 1) % 2], &sums[(b - 1) % 2], x + b - 1, group_stride, n, acc);
    }
    UNROLL for (int t = 0; t < n; t++) if (t < n_tok)
    {
        __m512 old = add ? _mm512_loadu_ps(y + t * y_stride) : _mm512_setzero_ps();
        _mm512_storeu_ps(y + t * y_stride, add ? _mm512_add_ps(old, acc[t]) : acc[t]);
    }
}

#define TILE_AMX(name, f)           \
    void TILE_NAME(name)(TILE_ARGS) \
    {                               \
        TILE_MANY(tile_amx_n, f)    \
    }
#endif
