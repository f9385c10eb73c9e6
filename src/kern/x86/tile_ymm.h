/* What int8 tiles of 256 bits share: 16 rows as two halves of 8 lanes times groups of 4 tokens, made for each form. How a
 * block's exact dots come about (tile_block) is up to the header that includes this one. */
#ifndef LATHE_KERN_TILE_YMM_H
#define LATHE_KERN_TILE_YMM_H
#include "kern/x86/form_avx2.h"

/* acc[t][p] of tokens 0..n-1 and halves p of the rows, plus block i of a super-block. */
ALWAYS void tile_block(struct form f, const uint8_t *head, int slot, const uint8_t *body, int i,
                       const struct act_block *x, int n, __m256 acc[][2]);

ALWAYS __m256i broadcast4(const void *x)
{
    int32_t word;
    memcpy(&word, x, 4);
    return _mm256_set1_epi32(word);
}

/* Keeps `v` a running sum in its register: compilers turn the eight adds of a block into a tree, which needs
 * three times the registers there are (Zen 4, q4_0, 4 tokens: 122 GOP/s with, 260 without). */
#define PIN(v) __asm__("" : "+x"(v))

/* What is too much in a dot whose operands are f.offset too large. */
ALWAYS __m256i minus_offset(struct form f, int32_t n8sum)
{
    return _mm256_set1_epi32(f.offset % 8 ? n8sum / 8 * f.offset : n8sum * (f.offset / 8));
}

/* acc = fma(dot, w * x.d, acc), then fma(m, x.s, acc). */
ALWAYS __m256 add_block(struct form f, const struct scales_avx2 *s, __m256i dot, const struct act_block *x,
                        int t, __m256 acc)
{
    acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(s->w[0], _mm256_set1_ps(x->d[t])), acc);
    return f.has_min ? _mm256_fmadd_ps(s->m, _mm256_set1_ps(x->s[t]), acc) : acc;
}

/* The same of MATH_INT; dot: of both halves, each times its integer scale. */
ALWAYS __m256 add_scaled(struct form f, const struct scales_avx2 *s, __m256i dot, const struct act_block *x,
                         int t, __m256 acc)
{
    __m256i halves = broadcast4(x->half[t]);
    if (f.offset)
        dot = _mm256_sub_epi32(
            dot, _mm256_madd_epi16(halves, _mm256_mullo_epi16(s->pair, _mm256_set1_epi16((short)f.offset))));
    __m256 sum = _mm256_mul_ps(_mm256_cvtepi32_ps(dot), s->w[0]);
    if (f.has_min)
        sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_madd_epi16(halves, s->mn)), s->m, sum);
    return _mm256_fmadd_ps(sum, _mm256_set1_ps(x->d[t]), acc);
}

/* Lines in the order low, high nibble of the same bytes, so that each is loaded once. */
static const int line_order[2][8] = {{0, 4, 1, 5, 2, 6, 3, 7}, {0, 1, 2, 3, 4, 5, 6, 7}};

/* For one token, too: two vectors a line leave memory less time than the hardware's streams need (Zen 4, share of the read
 * bandwidth without and with: IQ4_NL 57 and 89 %, Q5_1 70 and 92, Q6_K 66 and 92). */
ALWAYS void look_ahead(const uint8_t *at, int n_bytes)
{
    for (int i = 0; i < n_bytes; i += 64)
        _mm_prefetch((const char *)at + TILE_AHEAD_BYTES + i, _MM_HINT_T1);
}

/* Formats of blocks of 32 in pairs, both halves in line. */
ALWAYS void tile_pairs(struct form f, const uint8_t *panel, int n_block, const struct act_block *x, int n,
                       __m256 acc[][2])
{
    const int bytes = form_group_bytes(f);
    for (int b = 0; b + 1 < n_block; b += 2, panel += bytes) {
        look_ahead(panel, bytes);
        tile_block(f, panel, 0, panel + f.head_bytes, 0, x + b, n, acc);
        tile_block(f, panel, 1, panel + f.head_bytes + f.int_bytes, 0, x + b + 1, n, acc);
    }
    if (n_block % 2)
        tile_block(f, panel, 0, panel + f.head_bytes, 0, x + n_block - 1, n, acc);
}

ALWAYS void tile_supers(struct form f, const uint8_t *panel, int n_block, const struct act_block *x, int n,
                        __m256 acc[][2])
{
    const uint8_t *head = panel, *body = panel + f.head_bytes;
    for (int b = 0, slot = 0; b < n_block; b += f.n_block) {
        for (int i = 0; i < f.n_block; i++, x++) {
            look_ahead(body + i * form_ahead_bytes(f), form_ahead_bytes(f));
            tile_block(f, head, slot, body, i, x, n, acc);
        }
        body += form_super_bytes(f);
        if (++slot == f.n_super) {
            slot = 0;
            head = body;
            body += f.head_bytes;
        }
    }
}

/* n: tokens computed, a constant; n_tok <= n: tokens stored. */
ALWAYS void tile_dot_group(struct form f, const uint8_t *panel, int n_block, const struct act_block *x, int n,
                           int n_tok, bool add, float *y, int64_t y_stride)
{
    __m256 acc[ACT_GROUP][2];
    UNROLL for (int t = 0; t < n; t++) acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    if (f.n_block == 1 && f.n_super == 2)
        tile_pairs(f, panel, n_block, x, n, acc);
    else
        tile_supers(f, panel, n_block, x, n, acc);
    UNROLL for (int t = 0; t < n; t++) if (t < n_tok)
    {
        for (int h = 0; h < 2; h++) {
            float *to = y + t * y_stride + 8 * h;
            _mm256_storeu_ps(to, add ? _mm256_add_ps(_mm256_loadu_ps(to), acc[t][h]) : acc[t][h]);
        }
    }
}

/* One group after another: a panel of 2048 columns stays in the first-level cache meanwhile. (Keeping the
 * unpacked nibbles there for the groups that follow, 9 % fewer vector instructions, was 10 % slower: loads
 * become the bound.) Absent tokens of a group are zero. */
ALWAYS void tile_dot_all(struct form f, const uint8_t *panel, int n_block, const struct act_block *x,
                         int64_t group_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    for (; n_tok > 0; n_tok -= ACT_GROUP, x += group_stride, y += ACT_GROUP * y_stride) {
        if (n_tok == 1)
            tile_dot_group(f, panel, n_block, x, 1, 1, add, y, y_stride);
        else if (n_tok == 2)
            tile_dot_group(f, panel, n_block, x, 2, 2, add, y, y_stride);
        else
            tile_dot_group(f, panel, n_block, x, 4, n_tok, add, y, y_stride);
    }
}

/* The name of a kernel; its twin (kern.h) is the same source, built a second time. */
#ifdef LATHE_TWIN
#define TILE_NAME(name) name##_twin
#else
#define TILE_NAME(name) name
#endif

#define TILE_DOT(name, f)                                                                                    \
    void TILE_NAME(name)(const uint8_t *panel, int n_block, const struct act_block *x, int64_t group_stride, \
                         int n_tok, bool add, float *y, int64_t y_stride)                                    \
    {                                                                                                        \
        tile_dot_all(f, panel, n_block, x, group_stride, n_tok, add, y, y_stride);                           \
    }
#endif
