/* Reading panels by their form (kern/form.h) for AVX-512: the operands of a block and its scales, 16 rows at once. */
#ifndef LATHE_KERN_FORM_AVX512_H
#define LATHE_KERN_FORM_AVX512_H
#include <immintrin.h>
#include "kern/form.h"
#include "kern/inline.h"
#include "kern/x86/grid_avx512.h"
#include "kern/panel.h"
#include "quant/parts.h"

struct scales_avx512 {
    __m512 w[2], m; /* MATH_INT: d and -dmin */
    __m512i sc[2];  /* of MATH_INT: a row's scale in both words */
    __m512i pair,
        mn; /* of MATH_INT: scales and minima of both halves, a word each; the negative zero point, in both words */
};

/* ---- integers ---- */

ALWAYS __m512i load_line(const uint8_t *p)
{
    return _mm512_load_si512((const void *)p);
}

/* Operand j of a plane, its bits moved to `to`; what is in the other bits does not matter. */
ALWAYS __m512i plane_avx512(const uint8_t *plane, int bits, int j, int to)
{
    __m512i v = load_line(plane + 64 * plane_line(bits, j));
    int by = plane_bit(bits, j) - to;
    return by > 0 ? _mm512_srli_epi16(v, (unsigned)by) : by < 0 ? _mm512_slli_epi16(v, (unsigned)-by) : v;
}

/* The bits of `mask` from v, the others from rest, where they are zero in the mask's places. */
ALWAYS __m512i masked_bits(__m512i v, int mask, __m512i rest)
{
    return _mm512_ternarylogic_epi32(v, _mm512_set1_epi32(mask), rest, 0xea); /* (v & mask) | rest */
}

ALWAYS __m512i values_avx512(const int8_t *values, int offset)
{
    __m128i v = _mm_add_epi8(_mm_loadu_si128((const __m128i *)values), _mm_set1_epi8((char)offset));
    return _mm512_broadcast_i32x4(v);
}

/* Columns 4j..4j+3 of block i of a super-block, 16 rows, as bytes that are f.offset too large. */
ALWAYS __m512i line_avx512(struct form f, const uint8_t *body, int i, int j)
{
    const uint8_t *ints = body + f.scale_bytes + i * f.int_bytes;
    if (f.ints == INTS_TRITS)
        return trits_line(body + f.scale_bytes, 8 * i + j);
    if (f.scales == SCALES_GRID)
        return grid_line(f, body, i, j);
    if (f.ints == INTS_8)
        return load_line(ints + 64 * j);
    const struct plane p = form_plane(f.ints, 0), high = form_plane(f.ints, 1);
    __m512i v =
        _mm512_and_si512(plane_avx512(ints, p.bits, j, 0), _mm512_set1_epi8((char)((1 << p.bits) - 1)));
    if (high.bits)
        v = masked_bits(plane_avx512(ints + high.at, high.bits, j, high.shift),
                        (((1 << high.bits) - 1) << high.shift) * 0x01010101, v);
    return form_values(f) ? _mm512_shuffle_epi8(values_avx512(form_values(f), f.offset), v) : v;
}

/* Columns 8g..8g+7: two lines. */
ALWAYS void two_lines(struct form f, const uint8_t *body, int i, int g, __m512i line[2])
{
    if (f.ints >= INTS_IQ1_S) {
        grid_lines_iq1(f, body, i, g, line);
    } else if (f.ints >= INTS_IQ2_XXS) {
        grid_lines_iq2(f, body, i, g, line);
    } else {
        line[0] = line_avx512(f, body, i, 2 * g);
        line[1] = line_avx512(f, body, i, 2 * g + 1);
    }
}

/* (q - 4) * sc of Q3_K is -124 .. 128: with this it is a byte. */
enum { SCALED_OFFSET = 124 };

/* The same times the scale of its half, as bytes that are SCALED_OFFSET (without minima) or nothing too large: both
 * bytes of a word at once, since neither product leaves its byte. */
ALWAYS __m512i scaled_avx512(struct form f, const struct scales_avx512 *s, __m512i line, int half)
{
    __m512i v = _mm512_mullo_epi16(line, s->sc[half]);
    if (f.has_min)
        return v;
    __m512i base =
        _mm512_sub_epi16(_mm512_set1_epi16(SCALED_OFFSET * 257),
                         _mm512_mullo_epi16(s->sc[half], _mm512_set1_epi16((short)(f.offset * 257))));
    return _mm512_add_epi16(v, base);
}

/* ---- scales ---- */

ALWAYS __m512 half_lanes(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)p));
}

ALWAYS __m512i byte_lanes(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)p));
}

/* Numbers of 19 bits, and the zero points. */
ALWAYS void lanes_19(const uint8_t *high, const uint8_t *low, struct scales_avx512 *s)
{
    __m512i h = _mm512_cvtepu16_epi32(_mm256_load_si256((const __m256i *)high)), b = byte_lanes(low);
    __m512i zero = _mm512_and_si512(b, _mm512_set1_epi32(31));
    b = _mm512_slli_epi32(_mm512_andnot_si512(_mm512_set1_epi32(31), b), 8);
    s->w[0] = _mm512_castsi512_ps(_mm512_or_si512(_mm512_slli_epi32(h, 16), b));
    s->mn = _mm512_sub_epi16(_mm512_setzero_si512(), _mm512_or_si512(zero, _mm512_slli_epi32(zero, 16)));
}

/* 2^(e - 128); e = 0 and 1 are subnormal, 255 is NaN. */
ALWAYS __m512 exponent_lanes(const uint8_t *p)
{
    __m512i e = byte_lanes(p);
    __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    bits = _mm512_mask_sllv_epi32(bits, _mm512_cmplt_epu32_mask(e, _mm512_set1_epi32(2)),
                                  _mm512_set1_epi32(0x200000), e);
    bits = _mm512_mask_set1_epi32(bits, _mm512_cmpeq_epu32_mask(e, _mm512_set1_epi32(255)), 0x7fc00000);
    return _mm512_castsi512_ps(bits);
}

/* Scales 2 i and 2 i + 1 of SCALES_6, less 32, as words. */
ALWAYS __m512i six_bits(const uint8_t *scales, int i)
{
    __m512i low = _mm512_srl_epi32(load_line(scales + 64 * (i / 4)), _mm_cvtsi32_si128(i % 4 * 8));
    __m512i high = _mm512_srl_epi32(load_line(scales + 128), _mm_cvtsi32_si128(i * 4));
    __m512i v = _mm512_and_si512(low, _mm512_set1_epi32(0xf));
    v = masked_bits(_mm512_slli_epi32(low, 12), 0xf0000, v);
    v = masked_bits(_mm512_slli_epi32(high, 4), 0x30, v);
    v = masked_bits(_mm512_slli_epi32(high, 18), 0x300000, v);
    return _mm512_sub_epi16(v, _mm512_set1_epi16(32));
}

/* The integer scales and minima of block i. */
ALWAYS void int_scales(struct form f, const uint8_t *scales, int i, struct scales_avx512 *s)
{
    if (f.scales == SCALES_6) {
        s->pair = six_bits(scales, i);
    } else {
        const __m512i nibbles = _mm512_set1_epi16(15);
        __m512i both = _mm512_slli_epi32(byte_lanes(scales + 32 * i + 16), 16);
        both = _mm512_or_si512(both, byte_lanes(scales + 32 * i));
        s->pair = _mm512_and_si512(both, nibbles);
        s->mn = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibbles);
    }
    s->sc[0] = _mm512_shuffle_epi8(
        s->pair, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13)));
    s->sc[1] = _mm512_shuffle_epi8(s->pair, _mm512_broadcast_i32x4(_mm_setr_epi8(
                                                2, 3, 2, 3, 6, 7, 6, 7, 10, 11, 10, 11, 14, 15, 14, 15)));
}

ALWAYS __m512 negated(__m512 v)
{
    return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f));
}

/* The scales of block i of a super-block. */
ALWAYS void scales_avx512(struct form f, const uint8_t *head, int slot, const uint8_t *scales, int i,
                          struct scales_avx512 *s)
{
    if (f.scales == SCALES_E8M0) {
        s->w[0] = exponent_lanes(head + 16 * slot);
        return;
    }
    if (f.scales == SCALES_F32) {
        s->w[0] = _mm512_mul_ps(_mm512_load_ps((const float *)(head + 64 * slot)), _mm512_set1_ps(NF4_STEP));
        return;
    }
    if (form_has_19(f)) {
        lanes_19(head + 32 * slot, head + 32 * f.n_super + 16 * slot, s);
        return;
    }
    if (f.ints == INTS_IQ1_M) {
        __m512 number = iq1_m_number(scales + 256);
        s->w[0] = grid_weight(f, number, scales, i, 0);
        s->w[1] = grid_weight(f, number, scales, i, 1);
        return;
    }
    __m512 d = half_lanes(head + 32 * slot), d1 = d;
    if (f.n_half == 2)
        d1 = half_lanes(head + 32 * (f.n_super + slot));
    s->w[0] = d;
    s->m = d1;
    if (f.scales == SCALES_K) {
        s->w[0] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(byte_lanes(scales + 16 * i)));
        s->m = _mm512_mul_ps(negated(d1), _mm512_cvtepi32_ps(byte_lanes(scales + 128 + 16 * i)));
    } else if (f.scales == SCALES_32) {
        __m512i sc = _mm512_sub_epi32(byte_lanes(scales + 16 * i), _mm512_set1_epi32(32));
        s->w[0] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(sc));
    } else if (f.scales == SCALES_INT8) {
        UNROLL for (int h = 0; h < 2; h++)
        {
            __m128i sc = _mm_load_si128((const __m128i *)(scales + 16 * (2 * i + h)));
            s->w[h] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sc)));
        }
    } else if (f.scales == SCALES_GRID) {
        s->w[0] = grid_weight(f, d, scales, i, 0);
        s->w[1] = f.math == MATH_16 ? grid_weight(f, d, scales, i, 1) : d;
    } else if (f.math == MATH_INT) {
        s->m = negated(d1);
        int_scales(f, scales, i, s);
    }
}
#endif
