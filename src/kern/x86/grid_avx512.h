/* Blocks of the IQ formats with a grid (panel_grid.c) and of three values for AVX-512: 16 rows at once. Rows of a grid
 * are looked up by gathers. */
#ifndef LATHE_KERN_GRID_AVX512_H
#define LATHE_KERN_GRID_AVX512_H
#include <immintrin.h>
#include "kern/form.h"
#include "quant/iq_grid.h"

#define GRID static inline __attribute__((always_inline))

GRID __m512i grid_load(const uint8_t *p)
{
    return _mm512_load_si512((const void *)p);
}

/* v >> by, of that n_bits. */
GRID __m512i field(__m512i v, int by, int n_bits)
{
    return _mm512_and_si512(_mm512_srli_epi32(v, (unsigned)by), _mm512_set1_epi32((1 << n_bits) - 1));
}

GRID __m512i grid_bytes(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)p));
}

GRID __m512i grid_words(const uint8_t *p)
{
    return _mm512_cvtepu16_epi32(_mm256_load_si256((const __m256i *)p));
}

/* Eight rows of a grid. Loads one by one: with the gather of eight all of it takes 1.3 to 1.6 times as long (Zen 4). */
GRID __m512i load_eight(const uint64_t *grid, const uint32_t *code)
{
    return _mm512_setr_epi64((long long)grid[code[0]], (long long)grid[code[1]], (long long)grid[code[2]],
                             (long long)grid[code[3]], (long long)grid[code[4]], (long long)grid[code[5]],
                             (long long)grid[code[6]], (long long)grid[code[7]]);
}

/* Both halves of row `code` of a grid that is eight wide. */
GRID void look_up_both(const uint64_t *grid, __m512i code, __m512i half[2])
{
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i one = _mm512_set1_epi32(1);
    uint32_t codes[16];
    _mm512_storeu_si512(codes, code);
    __m512i a = load_eight(grid, codes), b = load_eight(grid, codes + 8);
    half[0] = _mm512_permutex2var_epi32(a, even, b);
    half[1] = _mm512_permutex2var_epi32(a, _mm512_add_epi32(even, one), b);
}

/* All of row `code` of a grid that is four wide. */
GRID __m512i look_up_4(const uint32_t *grid, __m512i code)
{
    return _mm512_i32gather_epi32(code, grid, 4);
}

/* v + 64, or -v + 64 where the low four bits of `signs` say so. */
GRID __m512i with_signs(__m512i v, __m512i signs)
{
    const __m512i masks = _mm512_setr_epi32(
        0, 0xff, 0xff00, 0xffff, 0xff0000, 0xff00ff, 0xffff00, 0xffffff, (int)0xff000000, (int)0xff0000ff,
        (int)0xff00ff00, (int)0xff00ffff, (int)0xffff0000, (int)0xffff00ff, (int)0xffffff00, -1);
    __m512i m = _mm512_permutexvar_epi32(signs, masks);
    return _mm512_sub_epi8(_mm512_xor_si512(v, m), _mm512_add_epi8(m, _mm512_set1_epi8(-64)));
}

/* The signs of operand j of seven bits: the eighth makes their number even. */
GRID __m512i half_of_seven(__m512i seven, int j)
{
    const __m512i parity = _mm512_setr_epi32(0, 8, 8, 0, 8, 0, 0, 8, 8, 0, 0, 8, 0, 8, 8, 0);
    if (j % 2 == 0)
        return seven;
    __m512i upper = _mm512_srli_epi32(seven, 4);
    return _mm512_or_si512(upper, _mm512_permutexvar_epi32(_mm512_xor_si512(seven, upper), parity));
}

/* IQ1: 8 * (0, 1 or 2) + 8 +- 1, which is 16 too large; minus where `bit` is set. */
GRID __m512i with_eighth(__m512i cells, __m512i bit)
{
    const __m512i nine = _mm512_set1_epi8(9), one = _mm512_set1_epi32(1);
    __m512i base = _mm512_mask_mov_epi32(nine, _mm512_test_epi32_mask(bit, one), _mm512_set1_epi8(7));
    return _mm512_add_epi8(_mm512_slli_epi32(cells, 3), base);
}

/* IQ3: columns 4j..4j+3 of block i, as bytes that are 64 too large. */
GRID __m512i grid_line(struct form f, const uint8_t *body, int i, int j)
{
    const uint8_t *ints = body + f.scale_bytes + i * f.int_bytes;
    __m512i code = field(grid_load(ints + 64 * (j / 4)), j % 4 * 8, 8), signs = grid_load(ints + 128);
    if (f.ints == INTS_IQ3_XXS)
        return with_signs(look_up_4(iq3_xxs_grid, code), half_of_seven(field(signs, 7 * (j / 2), 7), j));
    __m512i high = field(grid_bytes(body + 64 + 16 * i), j, 1);
    code = _mm512_or_si512(code, _mm512_slli_epi32(high, 8));
    return with_signs(look_up_4(iq3_s_grid, code), _mm512_srli_epi32(signs, (unsigned)(4 * j)));
}

/* IQ2: columns 8g..8g+7 of block i, two lines, as bytes that are 64 too large. */
GRID void grid_lines_iq2(struct form f, const uint8_t *body, int i, int g, __m512i line[2])
{
    const uint8_t *ints = body + f.scale_bytes + i * f.int_bytes;
    __m512i seven, v = grid_load(ints);
    if (f.ints == INTS_IQ2_S) {
        __m512i high = field(grid_bytes(body + 128 + 16 * i), 2 * g, 2), signs = grid_load(ints + 64);
        look_up_both(iq2_s_grid, _mm512_or_si512(field(v, 8 * g, 8), _mm512_slli_epi32(high, 8)), line);
        line[0] = with_signs(line[0], _mm512_srli_epi32(signs, (unsigned)(8 * g)));
        line[1] = with_signs(line[1], _mm512_srli_epi32(signs, (unsigned)(8 * g + 4)));
        return;
    }
    if (f.ints == INTS_IQ2_XXS) {
        look_up_both(iq2_xxs_grid, field(v, 8 * g, 8), line);
        seven = field(grid_load(ints + 64), 7 * g, 7);
    } else {
        v = grid_load(ints + 64 * (g / 2));
        look_up_both(iq2_xs_grid, field(v, g % 2 * 16, 9), line);
        seven = field(v, g % 2 * 16 + 9, 7);
    }
    line[0] = with_signs(line[0], half_of_seven(seven, 0));
    line[1] = with_signs(line[1], half_of_seven(seven, 1));
}

/* IQ1: the same, 16 too large. */
GRID void grid_lines_iq1(struct form f, const uint8_t *body, int i, int g, __m512i line[2])
{
    const int width = f.ints == INTS_IQ1_S ? 3 : 4, sign_bit = f.ints == INTS_IQ1_S ? 15 : 4 * g + 3;
    __m512i low = field(grid_load(body + f.scale_bytes + i * f.int_bytes), 8 * g, 8);
    __m512i words = grid_words(body + 32 * i), high = field(words, width * g, 3);
    look_up_both(iq1_grid, _mm512_or_si512(low, _mm512_slli_epi32(high, 8)), line);
    line[0] = with_eighth(line[0], _mm512_srli_epi32(words, (unsigned)sign_bit));
    line[1] = with_eighth(line[1], _mm512_srli_epi32(words, (unsigned)sign_bit));
}

GRID __m512i shifted(__m512i v, int by)
{
    return _mm512_srl_epi32(v, _mm_cvtsi32_si128(by));
}

/* d of IQ1_M, from the upper nibbles of four words. */
GRID __m512 iq1_m_number(const uint8_t *words)
{
    __m512i a = grid_load(words), b = grid_load(words + 64);
    __m512i low = _mm512_or_si512(field(a, 12, 4), _mm512_slli_epi32(field(a, 28, 4), 4));
    __m512i high = _mm512_or_si512(field(b, 12, 4), _mm512_slli_epi32(field(b, 28, 4), 4));
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_or_si512(low, _mm512_slli_epi32(high, 8))));
}

/* Scale s of half h of block i, for w = d * unit * (2 s + 1). */
GRID __m512i grid_scale(struct form f, const uint8_t *body, int i, int h)
{
    const uint8_t *ints = body + f.scale_bytes + i * f.int_bytes;
    const __m512i nibble = _mm512_set1_epi32(15), three = _mm512_set1_epi32(7);
    switch (f.ints) {
    case INTS_IQ3_XXS:
        return _mm512_srli_epi32(grid_load(ints + 128), 28);
    case INTS_IQ2_XXS:
        return _mm512_srli_epi32(grid_load(ints + 64), 28);
    case INTS_IQ3_S:
        return _mm512_and_si512(shifted(grid_load(body), 4 * i), nibble);
    case INTS_IQ1_S:
        return field(grid_words(body + 32 * i), 12, 3);
    case INTS_IQ1_M:
        return _mm512_and_si512(
            shifted(grid_load(body + 256 + 64 * (i / 4)), i / 2 % 2 * 16 + i % 2 * 6 + 3 * h), three);
    default:
        return _mm512_and_si512(shifted(grid_load(body + 64 * (i / 4)), i % 4 * 8 + 4 * h), nibble);
    }
}

GRID __m512 grid_weight(struct form f, __m512 d, const uint8_t *body, int i, int h)
{
    const float unit = f.ints == INTS_IQ3_S ? 1.0f : f.ints == INTS_IQ3_XXS ? 0.25f : 0.125f;
    __m512i s = grid_scale(f, body, i, h);
    __m512i odd = _mm512_add_epi32(_mm512_add_epi32(s, s), _mm512_set1_epi32(1));
    return _mm512_mul_ps(_mm512_mul_ps(d, _mm512_set1_ps(unit)), _mm512_cvtepi32_ps(odd));
}

/* ---- three values ---- */

/* Operand o of a super-block: digit o % 5 of line o / 5. The fraction times 3^digit, of which 8 bits stay, times 3: the
 * digit is what is carried. Even bytes are moved to the upper halves of their words. */
GRID __m512i trits_line(const uint8_t *ints, int o)
{
    static const int16_t powers[] = {1, 3, 9, 27, 81};
    const __m512i three = _mm512_set1_epi16(3), power = _mm512_set1_epi16(powers[o % 5]);
    __m512i v = grid_load(ints + 64 * (o / 5)), odd = _mm512_and_si512(v, _mm512_set1_epi16((short)0xff00));
    __m512i even = _mm512_mulhi_epu16(_mm512_mullo_epi16(_mm512_slli_epi16(v, 8), power), three);
    odd = _mm512_mulhi_epu16(_mm512_mullo_epi16(odd, power), three);
    return _mm512_or_si512(even, _mm512_slli_epi16(odd, 8));
}
#endif
