/* Matrix tiles in plain C: the specification of the int8 dot tiles and the f32 tiles. */
#include "kern/panel.h"

/* What distinguishes the quantized formats: bytes per pair of blocks, halves per block, bits, and the integer
 * that is subtracted. */
struct shape {
    int pair_bytes, n_scale, bits, offset;
};

/* Exact int32 dots of 16 rows with one token's 32 columns. */
static void block_dots(const uint8_t *ints, int bits, const struct act_block *x, int t, int32_t dot[LANES])
{
    for (int r = 0; r < LANES; r++)
        dot[r] = 0;
    for (int j = 0; j < 8; j++)
        for (int r = 0; r < LANES; r++)
            for (int i = 0; i < 4; i++) {
                int q = bits == 8 ? ints[j * 64 + r * 4 + i]
                                  : ints[(j & 3) * 64 + r * 4 + i] >> (j < 4 ? 0 : 4) & 15;
                dot[r] += q * x->q[j][t][i];
            }
}

static void tile_dot(const struct shape s, const uint8_t *panel, int n_block, const struct act_block *x,
                     int64_t group_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    int ints_bytes = s.bits * 4 * LANES;
    for (int t = 0; t < n_tok; t++) {
        const struct act_block *xt = x + t / ACT_GROUP * group_stride;
        int lane = t % ACT_GROUP;
        float acc[LANES] = {0};
        for (int b = 0; b < n_block; b++) {
            const uint8_t *pair = panel + (size_t)(b / 2) * (size_t)s.pair_bytes;
            const uint8_t *d = pair + (b % 2) * 32;
            int32_t dot[LANES];
            block_dots(pair + s.n_scale * 64 + (b % 2) * ints_bytes, s.bits, &xt[b], lane, dot);
            for (int r = 0; r < LANES; r++) {
                int32_t exact = dot[r] + xt[b].n8sum[lane] * (s.offset / 8);
                acc[r] = __builtin_fmaf((float)exact, panel_half(d + r * 2) * xt[b].d[lane], acc[r]);
                if (s.n_scale == 2)
                    acc[r] = __builtin_fmaf(panel_half(d + 64 + r * 2), xt[b].s[lane], acc[r]);
            }
        }
        float *out = y + t * y_stride;
        for (int r = 0; r < LANES; r++)
            out[r] = add ? out[r] + acc[r] : acc[r];
    }
}

void tile_dot_q4_0_c(const uint8_t *panel, int n_block, const struct act_block *x, int64_t group_stride,
                     int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_dot((struct shape){PANEL_Q4_0_BYTES, 1, 4, 8}, panel, n_block, x, group_stride, n_tok, add, y,
             y_stride);
}

void tile_dot_q4_1_c(const uint8_t *panel, int n_block, const struct act_block *x, int64_t group_stride,
                     int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_dot((struct shape){PANEL_Q4_1_BYTES, 2, 4, 0}, panel, n_block, x, group_stride, n_tok, add, y,
             y_stride);
}

void tile_dot_q8_0_c(const uint8_t *panel, int n_block, const struct act_block *x, int64_t group_stride,
                     int n_tok, bool add, float *y, int64_t y_stride)
{
    tile_dot((struct shape){PANEL_Q8_0_BYTES, 1, 8, 128}, panel, n_block, x, group_stride, n_tok, add, y,
             y_stride);
}

void tile_f32_c(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k, const float *x,
                int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    for (int i = 0; i < n_tok * n_group * LANES; i++) {
        int t = i / (n_group * LANES), g = i / LANES % n_group, r = i % LANES;
        const float *wf = (const float *)w + g * w_group + r;
        float *out = y + t * y_stride + g * LANES + r, acc = add ? *out : 0;
        for (int k = 0; k < n_k; k++)
            acc = __builtin_fmaf(wf[k * w_stride], x[t * x_stride + k], acc);
        *out = acc;
    }
}

void tile_f16_c(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k, const float *x,
                int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    for (int i = 0; i < n_tok * n_group * LANES; i++) {
        int t = i / (n_group * LANES), g = i / LANES % n_group, r = i % LANES;
        const uint16_t *wh = (const uint16_t *)w + g * w_group + r;
        float *out = y + t * y_stride + g * LANES + r, acc = add ? *out : 0;
        for (int k = 0; k < n_k; k++)
            acc = __builtin_fmaf(f16_to_f32(wh[k * w_stride]), x[t * x_stride + k], acc);
        *out = acc;
    }
}

void tile_bf16_c(const void *w, int64_t w_stride, int64_t w_group, int n_group, int n_k, const float *x,
                 int64_t x_stride, int n_tok, bool add, float *y, int64_t y_stride)
{
    for (int i = 0; i < n_tok * n_group * LANES; i++) {
        int t = i / (n_group * LANES), g = i / LANES % n_group, r = i % LANES;
        const uint16_t *wh = (const uint16_t *)w + g * w_group + r;
        float *out = y + t * y_stride + g * LANES + r, acc = add ? *out : 0;
        for (int k = 0; k < n_k; k++)
            acc = __builtin_fmaf(bf16_to_f32(wh[k * w_stride]), x[t * x_stride + k], acc);
        *out = acc;
    }
}
