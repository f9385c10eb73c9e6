/* Blocks of the IQ formats with a grid (panel_grid.c) and of three values for AVX2: half p of the 16 rows. A row of a grid is
 * looked up by one gather a line: columns 4j..4j+3. */
#ifndef LATHE_KERN_GRID_AVX2_H
#define LATHE_KERN_GRID_AVX2_H
#include <immintrin.h>
#include "kern/form.h"
#include "quant/iq_grid.h"

#define GRID static inline __attribute__((always_inline))

/* Half p of a line. */
GRID __m256i grid_load(const uint8_t *at, int p)
{
    return _mm256_load_si256((const __m256i *)(at + 32 * p));
}

/* v >> by, of that n_bits. */
GRID __m256i field(__m256i v, int by, int n_bits)
{
    return _mm256_and_si256(_mm256_srli_epi32(v, by), _mm256_set1_epi32((1 << n_bits) - 1));
}

GRID __m256i grid_bytes(const uint8_t *at, int p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(at + 8 * p)));
}

GRID __m256i grid_words(const uint8_t *at, int p)
{
    return _mm256_cvtepu16_epi32(_mm_load_si128((const __m128i *)(at + 16 * p)));
}

/* Half (j % 2) of row `code` of a grid that is eight wide; four wide: all of it. */
GRID __m256i look_up_8(const uint64_t *grid, __m256i code, int j)
{
    return _mm256_i32gather_epi32((const int *)grid + j % 2, code, 8);
}

GRID __m256i look_up_4(const uint32_t *grid, __m256i code)
{
    return _mm256_i32gather_epi32((const int *)grid, code, 4);
}

/* v + 64, or -v + 64 where bits 0..3 of `signs` say so. */
GRID __m256i with_signs(__m256i v, __m256i signs)
{
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12, 0, 0, 0, 0, 4,
                                            4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    const __m256i bits = _mm256_set1_epi32(0x08040201);
    __m256i m = _mm256_and_si256(_mm256_shuffle_epi8(signs, spread), bits);
    m = _mm256_cmpeq_epi8(m, bits);
    return _mm256_sub_epi8(_mm256_xor_si256(v, m), _mm256_add_epi8(m, _mm256_set1_epi8(-64)));
}

/* The signs of operand j of seven bits: the eighth makes their number even. */
GRID __m256i half_of_seven(__m256i seven, int j)
{
    const __m256i parity = _mm256_setr_epi8(0, 8, 8, 0, 8, 0, 0, 8, 8, 0, 0, 8, 0, 8, 8, 0, 0, 8, 8, 0, 8, 0,
                                            0, 8, 8, 0, 0, 8, 0, 8, 8, 0);
    if (j % 2 == 0)
        return seven;
    __m256i upper = _mm256_srli_epi32(seven, 4),
            nibble = _mm256_and_si256(_mm256_xor_si256(seven, upper), _mm256_set1_epi32(15));
    return _mm256_or_si256(upper, _mm256_shuffle_epi8(parity, nibble));
}

/* IQ1: 8 * (0, 1 or 2) + 8 +- 1, which is 16 too large; minus where the lowest of `bit` is set. */
GRID __m256i with_eighth(__m256i cells, __m256i bit)
{
    __m256i minus = _mm256_srai_epi32(_mm256_slli_epi32(bit, 31), 31);
    __m256i base = _mm256_blendv_epi8(_mm256_set1_epi8(9), _mm256_set1_epi8(7), minus);
    return _mm256_add_epi8(_mm256_slli_epi32(cells, 3), base);
}

/* Columns 4j..4j+3 of block i, as bytes that are f.offset too large. */
GRID __m256i grid_line(struct form f, const uint8_t *body, int p, int i, int j)
{
    const uint8_t *ints = body + f.scale_bytes + i * f.int_bytes;
    const int g = j / 2;
    __m256i v;
    switch (f.ints) {
    case INTS_IQ3_XXS:
        v = look_up_4(iq3_xxs_grid, field(grid_load(ints + 64 * (j / 4), p), j % 4 * 8, 8));
        return with_signs(v, half_of_seven(field(grid_load(ints + 128, p), 7 * g, 7), j));
    case INTS_IQ3_S:
        v = _mm256_slli_epi32(field(grid_bytes(body + 64 + 16 * i, p), j, 1), 8);
        v = _mm256_or_si256(v, field(grid_load(ints + 64 * (j / 4), p), j % 4 * 8, 8));
        return with_signs(look_up_4(iq3_s_grid, v), _mm256_srli_epi32(grid_load(ints + 128, p), (4 * j)));
    case INTS_IQ2_XXS:
        v = look_up_8(iq2_xxs_grid, field(grid_load(ints, p), 8 * g, 8), j);
        return with_signs(v, half_of_seven(field(grid_load(ints + 64, p), 7 * g, 7), j));
    case INTS_IQ2_XS:
        v = grid_load(ints + 64 * (g / 2), p);
        return with_signs(look_up_8(iq2_xs_grid, field(v, g % 2 * 16, 9), j),
                          half_of_seven(field(v, g % 2 * 16 + 9, 7), j));
    case INTS_IQ2_S:
        v = _mm256_slli_epi32(field(grid_bytes(body + 128 + 16 * i, p), 2 * g, 2), 8);
        v = _mm256_or_si256(v, field(grid_load(ints, p), 8 * g, 8));
        return with_signs(look_up_8(iq2_s_grid, v, j), _mm256_srli_epi32(grid_load(ints + 64, p), (4 * j)));
    default: { /* IQ1 */
        const int width = f.ints == INTS_IQ1_S ? 3 : 4;
        __m256i high = grid_words(body + 32 * i, p);
        v = _mm256_slli_epi32(field(high, width * g, 3), 8);
        v = _mm256_or_si256(v, field(grid_load(ints, p), 8 * g, 8));
        return with_eighth(look_up_8(iq1_grid, v, j),
                           _mm256_srli_epi32(high, (f.ints == INTS_IQ1_S ? 15 : 4 * g + 3)));
    }
    }
}

GRID __m256i shifted(__m256i v, int by)
{
    return _mm256_srl_epi32(v, _mm_cvtsi32_si128(by));
}

/* d of IQ1_M, from the upper nibbles of four words. */
GRID __m256 iq1_m_number(const uint8_t *words, int p)
{
    __m256i a = grid_load(words, p), b = grid_load(words + 64, p);
    __m256i low = _mm256_or_si256(field(a, 12, 4), _mm256_slli_epi32(field(a, 28, 4), 4));
    __m256i high = _mm256_or_si256(field(b, 12, 4), _mm256_slli_epi32(field(b, 28, 4), 4));
    __m256i wide = _mm256_or_si256(low, _mm256_slli_epi32(high, 8));
    return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1)));
}

/* Scale s of half h of block i, for w = d * unit * (2 s + 1). */
GRID __m256i grid_scale(struct form f, const uint8_t *body, int p, int i, int h)
{
    const uint8_t *ints = body + f.scale_bytes + i * f.int_bytes;
    const __m256i nibble = _mm256_set1_epi32(15), three = _mm256_set1_epi32(7);
    switch (f.ints) {
    case INTS_IQ3_XXS:
        return _mm256_srli_epi32(grid_load(ints + 128, p), 28);
    case INTS_IQ2_XXS:
        return _mm256_srli_epi32(grid_load(ints + 64, p), 28);
    case INTS_IQ3_S:
        return _mm256_and_si256(shifted(grid_load(body, p), 4 * i), nibble);
    case INTS_IQ1_S:
        return field(grid_words(body + 32 * i, p), 12, 3);
    case INTS_IQ1_M:
        return _mm256_and_si256(
            shifted(grid_load(body + 256 + 64 * (i / 4), p), i / 2 % 2 * 16 + i % 2 * 6 + 3 * h), three);
    default:
        return _mm256_and_si256(shifted(grid_load(body + 64 * (i / 4), p), i % 4 * 8 + 4 * h), nibble);
    }
}

GRID __m256 grid_weight(struct form f, __m256 d, const uint8_t *body, int p, int i, int h)
{
    const float unit = f.ints == INTS_IQ3_S ? 1.0f : f.ints == INTS_IQ3_XXS ? 0.25f : 0.125f;
    __m256i s = grid_scale(f, body, p, i, h);
    __m256i odd = _mm256_add_epi32(_mm256_add_epi32(s, s), _mm256_set1_epi32(1));
    return _mm256_mul_ps(_mm256_mul_ps(d, _mm256_set1_ps(unit)), _mm256_cvtepi32_ps(odd));
}

/* ---- three values ---- */

/* Operand o of a super-block: digit o % 5 of line o / 5. The fraction times 3^digit, of which 8 bits stay, times 3: the
 * digit is what is carried. Even bytes are moved to the upper halves of their words. */
GRID __m256i trits_line(const uint8_t *ints, int p, int o)
{
    static const int16_t powers[] = {1, 3, 9, 27, 81};
    const __m256i three = _mm256_set1_epi16(3), power = _mm256_set1_epi16(powers[o % 5]);
    __m256i v = grid_load(ints + 64 * (o / 5), p),
            odd = _mm256_and_si256(v, _mm256_set1_epi16((short)0xff00));
    __m256i even = _mm256_mulhi_epu16(_mm256_mullo_epi16(_mm256_slli_epi16(v, 8), power), three);
    odd = _mm256_mulhi_epu16(_mm256_mullo_epi16(odd, power), three);
    return _mm256_or_si256(even, _mm256_slli_epi16(odd, 8));
}
#endif
