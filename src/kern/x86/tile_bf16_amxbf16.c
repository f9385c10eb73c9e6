/* The bf16 tile of the native class for AMX: 16 rows times up to 12 tokens, activations rounded to bf16.
 *
 *     sums [token][row] += activations [token][32 columns] x weights [16 pairs of columns][row][2]
 *
 * tdpbf16ps sums the products of even and of odd columns of 32 apart, then adds both to the sums; denormals are read and
 * written as zero. It takes three times as long as until the next may begin, so that steps of 32 columns go to four
 * sums in turns, which are added in the end. One token runs the same instructions as twelve: its bits are the same. */
#include <string.h>
#include "kern/inline.h"
#include "kern/kern.h"
#include "kern/x86/amx_tiles.h"

enum { STEP = 32, N_SUM = 4 }; /* columns of a product, sums: tiles 0..3 */
#define ACTS 4
#define PAIRS 5

#define TILES(n)                                                                       \
    {                                                                                  \
        .palette = 1, .colsb = {64, 64, 64, 64, 64, 64}, .rows = { n, n, n, n, n, 16 } \
    }
/* Of 4, 8 and 12 tokens. */
static const struct amx_config configs[] = {TILES(4), TILES(8), TILES(12)};

struct operands {
    _Alignas(64) uint16_t acts[TILE_TOK][STEP], pairs[STEP / 2][LANES][2];
};

/* n_k columns of n_tok tokens, zeros past them. */
ALWAYS void stage_acts(const float *x, int64_t x_stride, int n_tok, int n_k, uint16_t (*to)[STEP])
{
    const uint32_t in = n_k >= STEP ? 0xffffffff : (1u << n_k) - 1;
    for (int t = 0; t < n_tok; t++, x += x_stride) {
        __m512 low = _mm512_maskz_loadu_ps((__mmask16)in, x);
        __m512 high = _mm512_maskz_loadu_ps((__mmask16)(in >> 16), x + 16);
        _mm512_store_si512((void *)to[t], (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
}

ALWAYS void stage_pairs(const uint16_t *w, int64_t stride, int n_k, uint16_t (*to)[LANES][2])
{
    const __m512i zip = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                                         22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m256i none = _mm256_setzero_si256();
    for (int k = 0; k < STEP; k += 2, w += 2 * stride) {
        __m256i low = k < n_k ? _mm256_loadu_si256((const __m256i *)w) : none;
        __m256i high = k + 1 < n_k ? _mm256_loadu_si256((const __m256i *)(w + stride)) : none;
        __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
        _mm512_store_si512((void *)to[k / 2], _mm512_permutexvar_epi16(zip, both));
    }
}

/* sum number `s` += the operands. */
ALWAYS void multiply(const struct operands *in, int s, struct amx_model *m)
{
    tile_load(m, ACTS, in->acts, 64);
    tile_load(m, PAIRS, in->pairs, 64);
    if (s == 0)
        tile_dot_bf16(m, 0, ACTS, PAIRS);
    else if (s == 1)
        tile_dot_bf16(m, 1, ACTS, PAIRS);
    else if (s == 2)
        tile_dot_bf16(m, 2, ACTS, PAIRS);
    else
        tile_dot_bf16(m, 3, ACTS, PAIRS);
}

/* y = (y +) (sum 0 + sum 1) + (sum 2 + sum 3). */
ALWAYS void store_sums(struct amx_model *m, int n_tok, bool add, float *y, int64_t y_stride)
{
    _Alignas(64) float sum[N_SUM][TILE_TOK][LANES];
    tile_store(m, 0, sum[0], 64);
    tile_store(m, 1, sum[1], 64);
    tile_store(m, 2, sum[2], 64);
    tile_store(m, 3, sum[3], 64);
    for (int t = 0; t < n_tok; t++, y += y_stride) {
        __m512 all = _mm512_add_ps(_mm512_add_ps(_mm512_load_ps(sum[0][t]), _mm512_load_ps(sum[1][t])),
                                   _mm512_add_ps(_mm512_load_ps(sum[2][t]), _mm512_load_ps(sum[3][t])));
        _mm512_storeu_ps(y, add ? _mm512_add_ps(_mm512_loadu_ps(y), all) : all);
    }
}

static void tile_group(const uint16_t *w, int64_t w_stride, int n_k, const float *x, int64_t x_stride,
                       int n_tok, bool add, float *y, int64_t y_stride)
{
    struct operands in;
    TILES_NEW(m);
    memset(in.acts, 0, sizeof in.acts); /* of absent tokens */
    tiles_configure(m, &configs[(n_tok - 1) / ACT_GROUP]);
    tile_zero(m, 0);
    tile_zero(m, 1);
    tile_zero(m, 2);
    tile_zero(m, 3);
    for (int k = 0, step = 0; k < n_k; k += STEP, step++) {
        stage_acts(x + k, x_stride, n_tok, n_k - k, in.acts);
        stage_pairs(w + k * w_stride, w_stride, n_k - k, in.pairs);
        multiply(&in, step % N_SUM, m);
    }
    store_sums(m, n_tok, add, y, y_stride);
}

void TILE_NAME(tile_bf16_amxbf16)(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k,
                                  const float *x, int64_t x_stride, int n_tok, bool add, float *y,
                                  int64_t y_stride)
{
    for (int g = 0; g < n_group; g++)
        tile_group((const uint16_t *)w + g * w_group, w_stride, n_k, x, x_stride, n_tok, add, y + g * LANES,
                   y_stride);
}
