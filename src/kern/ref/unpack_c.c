/* Panels to f32 in plain C. */
#include "kern/panel.h"

void unpack_f16_c(const uint8_t *panel, int k0, int n_k, float *out)
{
    const uint16_t *h = (const uint16_t *)panel + (size_t)k0 * LANES;
    for (int i = 0; i < n_k * LANES; i++)
        out[i] = f16_to_f32(h[i]);
}

void unpack_bf16_c(const uint8_t *panel, int k0, int n_k, float *out)
{
    const uint16_t *h = (const uint16_t *)panel + (size_t)k0 * LANES;
    for (int i = 0; i < n_k * LANES; i++)
        out[i] = bf16_to_f32(h[i]);
}

static void unpack_quant(const uint8_t *panel, int pair_bytes, int n_scale, int bits, int k0, int n_k,
                         float *out)
{
    for (int k = 0; k < n_k; k++) {
        int b = (k0 + k) / ACT_BLOCK, c = (k0 + k) % ACT_BLOCK;
        const uint8_t *pair = panel + (size_t)(b / 2) * (size_t)pair_bytes;
        const uint8_t *ints = pair + n_scale * 64 + (b % 2) * bits * 4 * LANES;
        int i = bits == 8 ? c : c % 16;
        for (int r = 0; r < LANES; r++) {
            int q = ints[i / 4 * 64 + r * 4 + i % 4];
            float d = panel_half(pair + (b % 2) * 32 + r * 2);
            if (bits == 4)
                q = c < 16 ? q & 15 : q >> 4;
            if (n_scale == 2)
                out[k * LANES + r] =
                    __builtin_fmaf(d, (float)q, panel_half(pair + 64 + (b % 2) * 32 + r * 2));
            else
                out[k * LANES + r] = d * (float)(q - (bits == 4 ? 8 : 128));
        }
    }
}

void unpack_q4_0_c(const uint8_t *panel, int k0, int n_k, float *out)
{
    unpack_quant(panel, PANEL_Q4_0_BYTES, 1, 4, k0, n_k, out);
}

void unpack_q4_1_c(const uint8_t *panel, int k0, int n_k, float *out)
{
    unpack_quant(panel, PANEL_Q4_1_BYTES, 2, 4, k0, n_k, out);
}

void unpack_q8_0_c(const uint8_t *panel, int k0, int n_k, float *out)
{
    unpack_quant(panel, PANEL_Q8_0_BYTES, 1, 8, k0, n_k, out);
}
