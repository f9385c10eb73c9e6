/* Panels to f32 for NEON. */
#include "kern/arm/form_neon.h"

void unpack_f16_neon(const uint8_t *panel, int k0, int n_k, float *out)
{
    const uint16_t *h = (const uint16_t *)panel + (size_t)k0 * LANES;
    for (int i = 0; i < n_k * LANES; i += 4)
        vst1q_f32(out + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(h + i))));
}

void unpack_bf16_neon(const uint8_t *panel, int k0, int n_k, float *out)
{
    const uint16_t *h = (const uint16_t *)panel + (size_t)k0 * LANES;
    for (int i = 0; i < n_k * LANES; i += 4)
        vst1q_f32(out + i, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(h + i), 16)));
}

/* Scale and minimum of columns 16 h .. 16 h + 15 of a block. */
ALWAYS void weight_scales(struct form f, const struct scales_neon *s, int h, float32x4_t *w, float32x4_t *m)
{
    *w = f.math == MATH_16 ? s->w[h] : s->w[0];
    *m = f.has_min ? s->m : vdupq_n_f32(-0.0f);
    if (f.math != MATH_INT)
        return;
    *w = vmulq_f32(s->w[0], vcvtq_f32_s32(s->sc[h]));
    if (f.has_min)
        *m = vmulq_f32(s->m, vcvtq_f32_s32(s->mn[h]));
}

/* A quarter of a line, 4 rows x 4 columns, becomes a quarter of four rows of out[column][16]. */
ALWAYS void unpack_line(int8x16_t line, int32x4_t zero, float32x4_t w, float32x4_t m, float *out)
{
    UNROLL for (int c = 0; c < 4; c++)
    {
        int32x4_t q = vshrq_n_s32(vreinterpretq_s32_s8(line) << (24 - 8 * c), 24);
        vst1q_f32(out + c * LANES, vfmaq_f32(m, w, vcvtq_f32_s32(vsubq_s32(q, zero))));
    }
}

/* The same of exact levels, in place of the integers near them. */
ALWAYS void unpack_levels(struct form f, const uint8_t *head, int slot, const uint8_t *body, int p, int i,
                          int j, float *out)
{
    const float *d = (const float *)(head + 64 * slot) + 4 * p;
    uint8_t code[16];
    vst1q_u8(code, codes_neon(f, body + i * f.int_bytes, p, j));
    for (int k = 0; k < 16; k++)
        out[k % 4 * LANES + k / 4] = d[k / 4] * nf4_levels[code[k]];
}

ALWAYS void unpack(struct form f, const uint8_t *panel, int k0, int n_k, float *out)
{
    int8_t lines[16 * ACT_BLOCK]; /* of formats with a grid */
    for (int b = k0 / ACT_BLOCK; b < (k0 + n_k) / ACT_BLOCK; b++, out += ACT_BLOCK * LANES) {
        struct form_place at = form_place(f, b / f.n_block);
        const uint8_t *body = panel + at.body;
        const int i = b % f.n_block;
        if (f.scales == SCALES_GRID)
            grid_lines(f, body, i, lines);
        for (int p = 0; p < 4; p++) {
            struct scales_neon s;
            scales_neon(f, panel + at.head, at.slot, body, p, i, &s);
            UNROLL for (int j = 0; j < 8; j++)
            {
                float32x4_t w, m;
                weight_scales(f, &s, j / 4, &w, &m);
                int8x16_t line =
                    f.scales == SCALES_GRID ? vld1q_s8(lines + 64 * j + 16 * p) : line_neon(f, body, p, i, j);
                int32x4_t zero = form_has_zero(f) ? s.mn[0] : vdupq_n_s32(offset_neon(f));
                if (f.ints == INTS_NF4)
                    unpack_levels(f, panel + at.head, at.slot, body, p, i, j, out + 4 * j * LANES + 4 * p);
                else
                    unpack_line(line, zero, w, m, out + 4 * j * LANES + 4 * p);
            }
        }
    }
}

#define UNPACK(OF, of, isa)                                                     \
    void unpack_##of##_##isa(const uint8_t *panel, int k0, int n_k, float *out) \
    {                                                                           \
        unpack(form_##OF, panel, k0, n_k, out);                                 \
    }

KERN_TYPES(UNPACK, neon)
