/* Reading panels by their form (kern/form.h) for NEON: the operands of a block and its scales for 4 of the 16 rows,
 * quarter p. Operands are signed bytes, what the dot instructions of all Arm cores take. */
#ifndef LATHE_KERN_FORM_NEON_H
#define LATHE_KERN_FORM_NEON_H
#include <arm_neon.h>
#include <string.h>
#include "kern/arm/grid_neon.h"
#include "kern/form.h"
#include "kern/inline.h"
#include "kern/panel.h"
#include "quant/parts.h"

struct scales_neon {
    float32x4_t w[2], m;    /* MATH_INT: d and -dmin */
    int32x4_t sc[2], mn[2]; /* of MATH_INT, each half's; mn[0]: zero points */
};

/* What operands are too large by: values that are looked up in a table are looked up signed. */
ALWAYS int offset_neon(struct form f)
{
    bool signed_already = f.ints == INTS_8 || form_values(f) || f.scales == SCALES_GRID;
    return signed_already ? 0 : f.offset;
}

/* ---- integers ---- */

/* Operand j of a plane, its bits moved to `to`; what is in the other bits does not matter. Shifts are written as
 * operators: the intrinsics want literals. */
ALWAYS uint8x16_t plane_neon(const uint8_t *plane, int bits, int p, int j, int to)
{
    uint8x16_t v = vld1q_u8(plane + 64 * plane_line(bits, j) + 16 * p);
    int by = plane_bit(bits, j) - to;
    return by > 0 ? v >> by : by < 0 ? v << -by : v;
}

/* The codes of columns 4j..4j+3. */
ALWAYS uint8x16_t codes_neon(struct form f, const uint8_t *ints, int p, int j)
{
    const struct plane low = form_plane(f.ints, 0), high = form_plane(f.ints, 1);
    uint8x16_t v = plane_neon(ints, low.bits, p, j, 0);
    if (plane_bit(low.bits, j) + low.bits < 8) /* else the shift has cleared the others */
        v = vandq_u8(v, vdupq_n_u8((uint8_t)((1 << low.bits) - 1)));
    if (high.bits)
        v = vbslq_u8(vdupq_n_u8((uint8_t)(((1 << high.bits) - 1) << high.shift)),
                     plane_neon(ints + high.at, high.bits, p, j, high.shift), v);
    return v;
}

/* Columns 4j..4j+3 of block i of a super-block as bytes that are offset_neon too large. Of formats with a grid
 * `body` is what grid_lines has made of it (grid_neon.h). */
ALWAYS int8x16_t line_neon(struct form f, const uint8_t *body, int p, int i, int j)
{
    const uint8_t *ints = body + f.scale_bytes + i * f.int_bytes;
    if (f.ints == INTS_TRITS)
        return trits_line(body + f.scale_bytes, p, 8 * i + j);
    if (f.ints == INTS_8)
        return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(ints + 64 * j + 16 * p), vdupq_n_u8(128)));
    uint8x16_t v = codes_neon(f, ints, p, j);
    return form_values(f) ? vqtbl1q_s8(vld1q_s8(form_values(f)), v) : vreinterpretq_s8_u8(v);
}

/* ---- scales ---- */

ALWAYS float32x4_t half_lanes(const uint8_t *at, int p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at + 8 * p)));
}

ALWAYS uint32x4_t byte_lanes(const uint8_t *at, int p)
{
    uint32_t four;
    memcpy(&four, at + 4 * p, 4);
    return vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four))));
}

ALWAYS float32x4_t number_lanes(const uint8_t *at, int p)
{
    return vcvtq_f32_u32(byte_lanes(at, p));
}

/* 2^(e - 128); e = 0 and 1 are subnormal, 255 is NaN. */
ALWAYS float32x4_t exponent_lanes(const uint8_t *at, int p)
{
    uint32x4_t e = byte_lanes(at, p);
    uint32x4_t bits = vshlq_n_u32(vsubq_u32(e, vdupq_n_u32(1)), 23);
    uint32x4_t small = vshlq_u32(vdupq_n_u32(0x200000), vreinterpretq_s32_u32(e));
    bits = vbslq_u32(vcltq_u32(e, vdupq_n_u32(2)), small, bits);
    bits = vbslq_u32(vceqq_u32(e, vdupq_n_u32(255)), vdupq_n_u32(0x7fc00000), bits);
    return vreinterpretq_f32_u32(bits);
}

/* Scale i of SCALES_6, less 32. */
ALWAYS int32x4_t six_bits(const uint8_t *scales, int p, int i)
{
    uint32x4_t low = shifted(grid_load(scales + 64 * (i / 8), p), i % 8 * 4);
    uint32x4_t high = shifted(grid_load(scales + 128, p), i * 2);
    low = vandq_u32(low, vdupq_n_u32(15));
    high = vshlq_n_u32(vandq_u32(high, vdupq_n_u32(3)), 4);
    return vsubq_s32(vreinterpretq_s32_u32(vorrq_u32(low, high)), vdupq_n_s32(32));
}

/* The integer scales and minima of block i. */
ALWAYS void int_scales(struct form f, const uint8_t *scales, int p, int i, struct scales_neon *s)
{
    UNROLL for (int h = 0; h < 2; h++)
    {
        if (f.scales == SCALES_6) {
            s->sc[h] = six_bits(scales, p, 2 * i + h);
            continue;
        }
        uint32x4_t both = byte_lanes(scales + 32 * i + 16 * h, p);
        s->sc[h] = vreinterpretq_s32_u32(vandq_u32(both, vdupq_n_u32(15)));
        s->mn[h] = vreinterpretq_s32_u32(vshrq_n_u32(both, 4));
    }
}

/* Signed scales of 16 columns. */
ALWAYS float32x4_t int8_lanes(const uint8_t *at, int p)
{
    uint32_t four;
    memcpy(&four, at + 4 * p, 4);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(four)))));
}

/* The scales of block i of a super-block. */
ALWAYS void scales_neon(struct form f, const uint8_t *head, int slot, const uint8_t *scales, int p, int i,
                        struct scales_neon *s)
{
    if (f.scales == SCALES_E8M0) {
        s->w[0] = exponent_lanes(head + 16 * slot, p);
        return;
    }
    if (f.scales == SCALES_F32) {
        s->w[0] = vmulq_n_f32(vld1q_f32((const float *)(head + 64 * slot) + 4 * p), NF4_STEP);
        return;
    }
    if (form_has_19(f)) {
        uint32x4_t low = byte_lanes(head + 32 * f.n_super + 16 * slot, p),
                   zero = vandq_u32(low, vdupq_n_u32(31));
        uint32x4_t high = vshll_n_u16(vld1_u16((const uint16_t *)(head + 32 * slot + 8 * p)), 16);
        s->w[0] = vreinterpretq_f32_u32(vorrq_u32(high, vshlq_n_u32(veorq_u32(low, zero), 8)));
        s->mn[0] = vreinterpretq_s32_u32(zero);
        return;
    }
    if (f.ints == INTS_IQ1_M) {
        float32x4_t number = iq1_m_number(scales + 256, p);
        s->w[0] = grid_weight(f, number, scales, p, i, 0);
        s->w[1] = grid_weight(f, number, scales, p, i, 1);
        return;
    }
    float32x4_t d = half_lanes(head + 32 * slot, p), d1 = d;
    if (f.n_half == 2)
        d1 = half_lanes(head + 32 * (f.n_super + slot), p);
    s->w[0] = d;
    s->m = d1;
    if (f.scales == SCALES_K) {
        s->w[0] = vmulq_f32(d, number_lanes(scales + 16 * i, p));
        s->m = vmulq_f32(vnegq_f32(d1), number_lanes(scales + 128 + 16 * i, p));
    } else if (f.scales == SCALES_32) {
        int32x4_t sc = vsubq_s32(vreinterpretq_s32_u32(byte_lanes(scales + 16 * i, p)), vdupq_n_s32(32));
        s->w[0] = vmulq_f32(d, vcvtq_f32_s32(sc));
    } else if (f.scales == SCALES_INT8) {
        s->w[0] = vmulq_f32(d, int8_lanes(scales + 32 * i, p));
        s->w[1] = vmulq_f32(d, int8_lanes(scales + 32 * i + 16, p));
    } else if (f.scales == SCALES_GRID) {
        s->w[0] = grid_weight(f, d, scales, p, i, 0);
        s->w[1] = f.math == MATH_16 ? grid_weight(f, d, scales, p, i, 1) : d;
    } else if (f.math == MATH_INT) {
        s->m = vnegq_f32(d1);
        int_scales(f, scales, p, i, s);
    }
}
#endif
