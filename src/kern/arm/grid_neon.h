/* Blocks of the IQ formats with a grid (panel_grid.c) and of three values for NEON: quarter p of the 16 rows. There is
 * no gather: each row of a grid is a load of its own, so a block is looked up once for all tokens of a call. */
#ifndef LATHE_KERN_GRID_NEON_H
#define LATHE_KERN_GRID_NEON_H
#include <arm_neon.h>
#include "kern/form.h"
#include "quant/iq_grid.h"

#define GRID static inline __attribute__((always_inline))

/* Quarter p of a line. */
GRID uint32x4_t grid_load(const uint8_t *at, int p)
{
    return vreinterpretq_u32_u8(vld1q_u8(at + 16 * p));
}

/* v >> by, of any number; a literal one is an operator's. */
GRID uint32x4_t shifted(uint32x4_t v, int by)
{
    return vshlq_u32(v, vdupq_n_s32(-by));
}

/* v >> by, of that n_bits. */
GRID uint32x4_t field(uint32x4_t v, int by, int n_bits)
{
    return vandq_u32(by ? v >> by : v, vdupq_n_u32((1u << n_bits) - 1));
}

GRID uint32x4_t grid_bytes(const uint8_t *at, int p)
{
    uint32_t four;
    memcpy(&four, at + 4 * p, 4);
    return vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four))));
}

GRID uint32x4_t grid_words(const uint8_t *at, int p)
{
    return vmovl_u16(vreinterpret_u16_u8(vld1_u8(at + 8 * p)));
}

/* Operands 2g and 2g + 1: rows `code` of a grid that is eight wide. */
GRID void look_up_8(const uint64_t *grid, uint32x4_t code, uint32x4_t v[2])
{
    uint64x2_t low =
        vcombine_u64(vld1_u64(grid + vgetq_lane_u32(code, 0)), vld1_u64(grid + vgetq_lane_u32(code, 1)));
    uint64x2_t high =
        vcombine_u64(vld1_u64(grid + vgetq_lane_u32(code, 2)), vld1_u64(grid + vgetq_lane_u32(code, 3)));
    v[0] = vuzp1q_u32(vreinterpretq_u32_u64(low), vreinterpretq_u32_u64(high));
    v[1] = vuzp2q_u32(vreinterpretq_u32_u64(low), vreinterpretq_u32_u64(high));
}

/* An operand: rows of one that is four wide. */
GRID uint32x4_t look_up_4(const uint32_t *grid, uint32x4_t code)
{
    uint32x4_t v = vdupq_n_u32(grid[vgetq_lane_u32(code, 0)]);
    v = vld1q_lane_u32(grid + vgetq_lane_u32(code, 1), v, 1);
    v = vld1q_lane_u32(grid + vgetq_lane_u32(code, 2), v, 2);
    return vld1q_lane_u32(grid + vgetq_lane_u32(code, 3), v, 3);
}

/* v, or -v where bits first .. first + 3 of `signs` say so. */
GRID int8x16_t with_signs(uint32x4_t v, uint32x4_t signs, int first)
{
    const uint8x16_t bits = vreinterpretq_u8_u32(vdupq_n_u32(0x08040201u << first));
    uint8x16_t spread = vreinterpretq_u8_u32(vmulq_u32(signs, vdupq_n_u32(0x01010101))),
               m = vtstq_u8(spread, bits);
    return vreinterpretq_s8_u8(vsubq_u8(veorq_u8(vreinterpretq_u8_u32(v), m), m));
}

/* The eighth sign makes the number of minus signs even. */
GRID uint32x4_t eight_of_seven(uint32x4_t seven)
{
    uint8x16_t v = vreinterpretq_u8_u32(seven);
    return vreinterpretq_u32_u8(vsliq_n_u8(v, vcntq_u8(v), 7));
}

/* IQ1: 8 * (0, 1 or 2) - 8 +- 1; minus where the lowest of `bit` is set. */
GRID int8x16_t with_eighth(uint32x4_t cells, uint32x4_t bit)
{
    uint8x16_t minus = vreinterpretq_u8_u32(vtstq_u32(bit, vdupq_n_u32(1)));
    int8x16_t base = vbslq_s8(minus, vdupq_n_s8(-9), vdupq_n_s8(-7));
    return vaddq_s8(vreinterpretq_s8_u8(vshlq_n_u8(vreinterpretq_u8_u32(cells), 3)), base);
}

/* Operands 2g and 2g + 1 of block i, signed. */
GRID void grid_pair(struct form f, const uint8_t *body, int p, int i, int g, int8x16_t line[2])
{
    const uint8_t *ints = body + f.scale_bytes + i * f.int_bytes;
    uint32x4_t v[2], code, signs;
    switch (f.ints) {
    case INTS_IQ3_XXS:
    case INTS_IQ3_S:
        _Pragma("GCC unroll 2") for (int k = 0; k < 2; k++)
        {
            const int j = 2 * g + k;
            code = field(grid_load(ints + 64 * (j / 4), p), j % 4 * 8, 8);
            if (f.ints == INTS_IQ3_S)
                code = vorrq_u32(code, vshlq_n_u32(field(grid_bytes(body + 64 + 16 * i, p), j, 1), 8));
            v[k] = look_up_4(f.ints == INTS_IQ3_S ? iq3_s_grid : iq3_xxs_grid, code);
        }
        signs = grid_load(ints + 128, p);
        signs = f.ints == INTS_IQ3_S ? field(signs, 8 * g, 8) : eight_of_seven(field(signs, 7 * g, 7));
        break;
    case INTS_IQ2_XXS:
        look_up_8(iq2_xxs_grid, field(grid_load(ints, p), 8 * g, 8), v);
        signs = eight_of_seven(field(grid_load(ints + 64, p), 7 * g, 7));
        break;
    case INTS_IQ2_XS:
        code = grid_load(ints + 64 * (g / 2), p);
        look_up_8(iq2_xs_grid, field(code, g % 2 * 16, 9), v);
        signs = eight_of_seven(field(code, g % 2 * 16 + 9, 7));
        break;
    case INTS_IQ2_S:
        code = vshlq_n_u32(field(grid_bytes(body + 128 + 16 * i, p), 2 * g, 2), 8);
        look_up_8(iq2_s_grid, vorrq_u32(code, field(grid_load(ints, p), 8 * g, 8)), v);
        signs = field(grid_load(ints + 64, p), 8 * g, 8);
        break;
    default: { /* IQ1 */
        const bool s = f.ints == INTS_IQ1_S;
        uint32x4_t high = grid_words(body + 32 * i, p);
        code = vshlq_n_u32(field(high, (s ? 3 : 4) * g, 3), 8);
        look_up_8(iq1_grid, vorrq_u32(code, field(grid_load(ints, p), 8 * g, 8)), v);
        signs = field(high, s ? 15 : 4 * g + 3, 1);
        line[0] = with_eighth(v[0], signs);
        line[1] = with_eighth(v[1], signs);
        return;
    }
    }
    line[0] = with_signs(v[0], signs, 0);
    line[1] = with_signs(v[1], signs, 4);
}

/* All of block i: out[8 operands][16 rows][4]. */
GRID void grid_lines(struct form f, const uint8_t *body, int i, int8_t *out)
{
    for (int p = 0; p < 4; p++)
        _Pragma("GCC unroll 4") for (int g = 0; g < 4; g++)
        {
            int8x16_t line[2];
            grid_pair(f, body, p, i, g, line);
            vst1q_s8(out + 128 * g + 16 * p, line[0]);
            vst1q_s8(out + 128 * g + 64 + 16 * p, line[1]);
        }
}

/* d of IQ1_M, from the upper nibbles of four words. */
GRID float32x4_t iq1_m_number(const uint8_t *words, int p)
{
    uint32x4_t a = grid_load(words, p), b = grid_load(words + 64, p);
    uint32x4_t low = vorrq_u32(field(a, 12, 4), vshlq_n_u32(field(a, 28, 4), 4));
    uint32x4_t high = vorrq_u32(field(b, 12, 4), vshlq_n_u32(field(b, 28, 4), 4));
    uint16x4_t half = vmovn_u32(vorrq_u32(low, vshlq_n_u32(high, 8)));
    return vcvt_f32_f16(vreinterpret_f16_u16(half));
}

/* Scale s of half h of block i, for w = d * unit * (2 s + 1). */
GRID uint32x4_t grid_scale(struct form f, const uint8_t *body, int p, int i, int h)
{
    const uint8_t *ints = body + f.scale_bytes + i * f.int_bytes;
    const uint32x4_t nibble = vdupq_n_u32(15), three = vdupq_n_u32(7);
    switch (f.ints) {
    case INTS_IQ3_XXS:
        return vshrq_n_u32(grid_load(ints + 128, p), 28);
    case INTS_IQ2_XXS:
        return vshrq_n_u32(grid_load(ints + 64, p), 28);
    case INTS_IQ3_S:
        return vandq_u32(shifted(grid_load(body, p), 4 * i), nibble);
    case INTS_IQ1_S:
        return field(grid_words(body + 32 * i, p), 12, 3);
    case INTS_IQ1_M:
        return vandq_u32(shifted(grid_load(body + 256 + 64 * (i / 4), p), i / 2 % 2 * 16 + i % 2 * 6 + 3 * h),
                         three);
    default:
        return vandq_u32(shifted(grid_load(body + 64 * (i / 4), p), i % 4 * 8 + 4 * h), nibble);
    }
}

GRID float32x4_t grid_weight(struct form f, float32x4_t d, const uint8_t *body, int p, int i, int h)
{
    const float unit = f.ints == INTS_IQ3_S ? 1.0f : f.ints == INTS_IQ3_XXS ? 0.25f : 0.125f;
    uint32x4_t s = grid_scale(f, body, p, i, h);
    uint32x4_t odd = vaddq_u32(vaddq_u32(s, s), vdupq_n_u32(1));
    return vmulq_f32(vmulq_f32(d, vdupq_n_f32(unit)), vcvtq_f32_u32(odd));
}

/* ---- three values ---- */

/* Operand o of a super-block: digit o % 5 of line o / 5. The fraction times 3^digit, of which 8 bits stay, times 3: the
 * digit is what is carried, and (3 v) >> 8 is half of v + v / 2, >> 6. */
GRID int8x16_t trits_line(const uint8_t *ints, int p, int o)
{
    uint8x16_t v = vld1q_u8(ints + 64 * (o / 5) + 16 * p);
    static const uint8_t powers[] = {1, 3, 9, 27, 81};
    v = vmulq_u8(v, vdupq_n_u8(powers[o % 5]));
    return vreinterpretq_s8_u8(vshrq_n_u8(vhaddq_u8(v, vshrq_n_u8(v, 1)), 6));
}
#endif
