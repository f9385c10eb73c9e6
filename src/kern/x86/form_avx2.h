/* Reading panels by their form (kern/form.h) for AVX2: the operands of a block and its scales for 8 of the 16 rows, half p. */
#ifndef LATHE_KERN_FORM_AVX2_H
#define LATHE_KERN_FORM_AVX2_H
#include <immintrin.h>
#include <string.h>
#include "kern/form.h"
#include "kern/inline.h"
#include "kern/x86/grid_avx2.h"
#include "kern/panel.h"
#include "quant/parts.h"

struct scales_avx2 {
    __m256 w[2], m; /* MATH_INT: d and -dmin */
    __m256i sc[2];  /* of MATH_INT: a row's scale in both words */
    __m256i pair,
        mn; /* scales and minima of both halves, a word each; the negative zero point, in both words */
};

/* ---- integers ---- */

/* Operand j of a plane, its bits moved to `to`; what is in the other bits does not matter. */
ALWAYS __m256i plane_avx2(const uint8_t *plane, int bits, int p, int j, int to)
{
    __m256i v = _mm256_load_si256((const __m256i *)(plane + 64 * plane_line(bits, j) + 32 * p));
    int by = plane_bit(bits, j) - to;
    return by > 0 ? _mm256_srli_epi16(v, by) : by < 0 ? _mm256_slli_epi16(v, -by) : v;
}

ALWAYS __m256i masked(__m256i v, int mask)
{
    return _mm256_and_si256(v, _mm256_set1_epi8((char)mask));
}

/* The codes of columns 4j..4j+3. */
ALWAYS __m256i codes_avx2(struct form f, const uint8_t *ints, int p, int j)
{
    if (f.ints == INTS_8)
        return _mm256_load_si256((const __m256i *)(ints + 64 * j + 32 * p));
    const struct plane low = form_plane(f.ints, 0), high = form_plane(f.ints, 1);
    __m256i v = masked(plane_avx2(ints, low.bits, p, j, 0), (1 << low.bits) - 1);
    if (high.bits)
        v = _mm256_or_si256(v, masked(plane_avx2(ints + high.at, high.bits, p, j, high.shift),
                                      ((1 << high.bits) - 1) << high.shift));
    return v;
}

/* Nibbles become bytes: the values plus offset, of these `shift` and mask. */
ALWAYS __m256i values_avx2(const int8_t *values, int offset, int shift, int mask, __m256i nibbles)
{
    __m128i v = _mm_add_epi8(_mm_loadu_si128((const __m128i *)values), _mm_set1_epi8((char)offset));
    v = _mm_and_si128(_mm_srli_epi16(v, shift), _mm_set1_epi8((char)mask));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(v), nibbles);
}

/* Columns 4j..4j+3 of block i of a super-block as bytes that are f.offset too large. */
ALWAYS __m256i line_avx2(struct form f, const uint8_t *body, int p, int i, int j)
{
    const uint8_t *ints = body + f.scale_bytes + i * f.int_bytes;
    if (f.ints == INTS_TRITS)
        return trits_line(body + f.scale_bytes, p, 8 * i + j);
    if (f.scales == SCALES_GRID)
        return grid_line(f, body, p, i, j);
    __m256i v = codes_avx2(f, ints, p, j);
    return form_values(f) ? values_avx2(form_values(f), f.offset, 0, 255, v) : v;
}

/* The same as two planes of nibbles. */
ALWAYS void planes_avx2(struct form f, const uint8_t *body, int p, int i, int j, __m256i *low, __m256i *high)
{
    const uint8_t *ints = body + f.scale_bytes + i * f.int_bytes;
    __m256i v = codes_avx2(f, ints, p, j);
    if (form_values(f)) {
        *low = values_avx2(form_values(f), f.offset, 0, 15, v);
        *high = values_avx2(form_values(f), f.offset, 4, 15, v);
        return;
    }
    *low = masked(v, 15);
    *high = masked(_mm256_srli_epi16(v, 4), 15);
}

/* ---- scales ---- */

ALWAYS __m256 half_lanes(const uint8_t *at, int p)
{
    return _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(at + 16 * p)));
}

ALWAYS __m256i byte_lanes(const uint8_t *at, int p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(at + 8 * p)));
}

/* Numbers of 19 bits, and the zero points. */
ALWAYS void lanes_19(const uint8_t *high, const uint8_t *low, int p, struct scales_avx2 *s)
{
    __m256i h = _mm256_cvtepu16_epi32(_mm_load_si128((const __m128i *)(high + 16 * p))),
            b = byte_lanes(low, p);
    __m256i zero = _mm256_and_si256(b, _mm256_set1_epi32(31));
    b = _mm256_slli_epi32(_mm256_andnot_si256(_mm256_set1_epi32(31), b), 8);
    s->w[0] = _mm256_castsi256_ps(_mm256_or_si256(_mm256_slli_epi32(h, 16), b));
    s->mn = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_or_si256(zero, _mm256_slli_epi32(zero, 16)));
}

/* 2^(e - 128); e = 0 and 1 are subnormal, 255 is NaN. */
ALWAYS __m256 exponent_lanes(const uint8_t *at, int p)
{
    __m256i e = byte_lanes(at, p), small = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);
    __m256i bits = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    bits = _mm256_blendv_epi8(bits, _mm256_sllv_epi32(_mm256_set1_epi32(0x200000), e), small);
    bits = _mm256_blendv_epi8(bits, _mm256_set1_epi32(0x7fc00000),
                              _mm256_cmpeq_epi32(e, _mm256_set1_epi32(255)));
    return _mm256_castsi256_ps(bits);
}

/* Scale i of SCALES_6, less 32. */
ALWAYS __m256i six_bits(const uint8_t *scales, int p, int i)
{
    const __m256i *nibbles = (const __m256i *)(scales + 64 * (i / 8) + 32 * p),
                  *twos = (const __m256i *)(scales + 128 + 32 * p);
    __m256i low = _mm256_srl_epi32(_mm256_load_si256(nibbles), _mm_cvtsi32_si128(i % 8 * 4));
    __m256i high = _mm256_srl_epi32(_mm256_load_si256(twos), _mm_cvtsi32_si128(i * 2));
    low = _mm256_and_si256(low, _mm256_set1_epi32(15));
    high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4);
    return _mm256_sub_epi32(_mm256_or_si256(low, high), _mm256_set1_epi32(32));
}

/* Words low and high in each lane. */
ALWAYS __m256i two_words(__m256i low, __m256i high)
{
    return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa);
}

/* The integer scales and minima of block i. */
ALWAYS void int_scales(struct form f, const uint8_t *scales, int p, int i, struct scales_avx2 *s)
{
    __m256i low, high;
    if (f.scales == SCALES_6) {
        low = six_bits(scales, p, 2 * i);
        high = six_bits(scales, p, 2 * i + 1);
    } else {
        const __m256i nibble = _mm256_set1_epi32(15);
        low = byte_lanes(scales + 32 * i, p);
        high = byte_lanes(scales + 32 * i + 16, p);
        s->mn = two_words(_mm256_srli_epi32(low, 4), _mm256_srli_epi32(high, 4));
        low = _mm256_and_si256(low, nibble);
        high = _mm256_and_si256(high, nibble);
    }
    s->sc[0] = two_words(low, low);
    s->sc[1] = two_words(high, high);
    s->pair = two_words(low, high);
}

ALWAYS __m256 negated(__m256 v)
{
    return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
}

/* The scales of block i of a super-block. */
ALWAYS void scales_avx2(struct form f, const uint8_t *head, int slot, const uint8_t *scales, int p, int i,
                        struct scales_avx2 *s)
{
    if (f.scales == SCALES_E8M0) {
        s->w[0] = exponent_lanes(head + 16 * slot, p);
        return;
    }
    if (f.scales == SCALES_F32) {
        s->w[0] = _mm256_mul_ps(_mm256_load_ps((const float *)(head + 64 * slot) + 8 * p),
                                _mm256_set1_ps(NF4_STEP));
        return;
    }
    if (form_has_19(f)) {
        lanes_19(head + 32 * slot, head + 32 * f.n_super + 16 * slot, p, s);
        return;
    }
    if (f.ints == INTS_IQ1_M) {
        __m256 number = iq1_m_number(scales + 256, p);
        s->w[0] = grid_weight(f, number, scales, p, i, 0);
        s->w[1] = grid_weight(f, number, scales, p, i, 1);
        return;
    }
    __m256 d = half_lanes(head + 32 * slot, p), d1 = d;
    if (f.n_half == 2)
        d1 = half_lanes(head + 32 * (f.n_super + slot), p);
    s->w[0] = d;
    s->m = d1;
    if (f.scales == SCALES_K) {
        s->w[0] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(byte_lanes(scales + 16 * i, p)));
        s->m = _mm256_mul_ps(negated(d1), _mm256_cvtepi32_ps(byte_lanes(scales + 128 + 16 * i, p)));
    } else if (f.scales == SCALES_32) {
        __m256i sc = _mm256_sub_epi32(byte_lanes(scales + 16 * i, p), _mm256_set1_epi32(32));
        s->w[0] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(sc));
    } else if (f.scales == SCALES_INT8) {
        UNROLL for (int h = 0; h < 2; h++)
        {
            __m128i sc = _mm_loadl_epi64((const __m128i *)(scales + 16 * (2 * i + h) + 8 * p));
            s->w[h] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(sc)));
        }
    } else if (f.scales == SCALES_GRID) {
        s->w[0] = grid_weight(f, d, scales, p, i, 0);
        s->w[1] = f.math == MATH_16 ? grid_weight(f, d, scales, p, i, 1) : d;
    } else if (f.math == MATH_INT) {
        s->m = negated(d1);
        int_scales(f, scales, p, i, s);
    }
}
#endif
