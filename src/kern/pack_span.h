/* pack_span_fn (kern.h) in vectors as wide as the flags of the including file allow, which defines halves_to_floats; bit for bit that of
 * kern/ref/span_c.c. */
#ifndef LATHE_KERN_PACK_SPAN_H
#define LATHE_KERN_PACK_SPAN_H
#include "kern/inline.h"
#include "kern/scalar.h"
#include "kern/span.h"
#include "quant/lanes.h"

enum { STRIP_NAN = 0x7e00 };

/* x[n] of n halves, n % 16 == 0. */
ALWAYS void halves_to_floats(const uint16_t *half, int n, float *x);

ALWAYS struct strip_row pack_head(const float *x, int n, float most, float *least, float *inverse)
{
    lanes lo = lanes_load(x), hi = lo, check = lanes_of(0);
    float los[LANES_N], his[LANES_N], checks[LANES_N];
    for (int i = 0; i < n; i += LANES_N) {
        lanes v = lanes_load(x + i);
        lo = lanes_min(lo, v);
        hi = lanes_max(hi, v);
        check += v * lanes_of(0);
    }
    lanes_store(los, lo);
    lanes_store(his, hi);
    lanes_store(checks, check);
    for (int i = 1; i < LANES_N; i++) {
        los[0] = los[i] < los[0] ? los[i] : los[0];
        his[0] = his[i] > his[0] ? his[i] : his[0];
        checks[0] += checks[i];
    }
    *least = *inverse = 0;
    if (checks[0] != 0)
        return (struct strip_row){.scale = STRIP_NAN};
    *least = los[0] + 0.0f;
    struct strip_row row = {f32_to_f16((his[0] - los[0]) / most), f32_to_f16(*least)};
    float step = f16_to_f32(row.scale);
    *inverse = step > 0 ? 1.0f / step : 0.0f;
    return row;
}

ALWAYS void pack_row(enum format_id of, const float *x, int n_group, struct strip_row *head, uint8_t *codes)
{
    float most = (float)((1 << strip_bits(of)) - 1), least, inverse, rounded[STRIP_LANES];
    uint32_t code[STRIP_LANES] = {0};
    *head = pack_head(x, n_group * LANES, most, &least, &inverse);
    for (int i = 0; i < n_group * LANES && head->scale != STRIP_NAN; i += LANES_N) {
        lanes q = (lanes_load(x + i) - lanes_of(least)) * lanes_of(inverse);
        lanes_store(rounded + i,
                    lanes_min(q, lanes_of(most)) + lanes_of(EXP_MAGIC)); /* an integer in its low bits */
        memcpy(code + i, rounded + i, sizeof q);
    }
    if (of == FORMAT_Q8_1)
        for (int i = 0; i < n_group * LANES; i++)
            codes[i] = (uint8_t)code[i];
    else
        for (int g = 0; g < n_group; g += 2)
            for (int r = 0; r < LANES; r++) {
                uint32_t high = g + 1 < n_group ? code[(g + 1) * LANES + r] : 0;
                codes[g / 2 * LANES + r] = (uint8_t)((code[g * LANES + r] & 15) | high << 4);
            }
}

ALWAYS void pack_strip(enum format_id of, const uint16_t *half, int64_t stride, int n_group, int n_row,
                       uint8_t *strip)
{
    uint8_t *codes = strip + strip_head_bytes(n_row);
    memset(strip, 0, strip_head_bytes(n_row));
    for (int k = 0; k < n_row; k++, half += stride, codes += strip_code_bytes(of, n_group)) {
        float x[STRIP_LANES] = {0};
        struct strip_row head;
        halves_to_floats(half, n_group * LANES, x);
        pack_row(of, x, n_group, &head, codes);
        memcpy(strip + (size_t)k * sizeof head, &head, sizeof head);
    }
}

#define PACK_SPAN(name, of)                                                                 \
    void name(const uint16_t *half, int64_t stride, int n_group, int n_row, uint8_t *strip) \
    {                                                                                       \
        pack_strip(of, half, stride, n_group, n_row, strip);                                \
    }
#endif
