/* Spans of keys and values in 4 and 8 bits, in plain C: the specification. */
#include <string.h>
#include "kern/scalar.h"
#include "kern/span.h"

static struct strip_row strip_row_at(const uint8_t *strip, int k)
{
    struct strip_row row;
    memcpy(&row, strip + (size_t)k * sizeof row, sizeof row);
    return row;
}

static int code_at(enum format_id format, const uint8_t *codes, int lane)
{
    int group = lane / LANES, r = lane % LANES;
    if (format == FORMAT_Q8_1)
        return codes[lane];
    return codes[group / 2 * LANES + r] >> group % 2 * 4 & 15;
}

static void tile_span(enum format_id format, const uint8_t *strip, int n_group, int n_row, const float *x,
                      int64_t x_stride, int n_tok, float *y, int64_t y_stride)
{
    const uint8_t *codes = strip + strip_head_bytes(n_row);
    int code_bytes = strip_code_bytes(format, n_group);
    for (int i = 0; i < n_tok * n_group * LANES; i++) {
        int t = i / (n_group * LANES), lane = i % (n_group * LANES);
        float acc = 0;
        for (int k = 0; k < n_row; k++) {
            struct strip_row row = strip_row_at(strip, k);
            float code = (float)code_at(format, codes + k * code_bytes, lane);
            float w = __builtin_fmaf(code, f16_to_f32(row.scale), f16_to_f32(row.least));
            acc = __builtin_fmaf(w, x[t * x_stride + k], acc);
        }
        y[t * y_stride + lane] = acc;
    }
}

void tile_span_q4_c(const uint8_t *strip, int n_group, int n_row, const float *x, int64_t x_stride, int n_tok,
                    float *y, int64_t y_stride)
{
    tile_span(FORMAT_Q4_1, strip, n_group, n_row, x, x_stride, n_tok, y, y_stride);
}

void tile_span_q8_c(const uint8_t *strip, int n_group, int n_row, const float *x, int64_t x_stride, int n_tok,
                    float *y, int64_t y_stride)
{
    tile_span(FORMAT_Q8_1, strip, n_group, n_row, x, x_stride, n_tok, y, y_stride);
}

/* Of a row's numbers: the least, the step between codes of which `most` is the largest, and 1 / step. */
static struct strip_row row_of(const float *x, int n, float most, float *least, float *inverse)
{
    float lo = x[0], hi = x[0], check = 0;
    for (int i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
        check += x[i] * 0.0f; /* NaN of infinity and of NaN */
    }
    *least = *inverse = 0;
    if (check != 0)
        return (struct strip_row){.scale = 0x7e00};
    *least = lo + 0.0f; /* of zeros the positive one */
    struct strip_row row = {f32_to_f16((hi - lo) / most), f32_to_f16(*least)};
    float step = f16_to_f32(row.scale);
    *inverse = step > 0 ? 1.0f / step : 0.0f;
    return row;
}

static void pack_span(enum format_id format, const uint16_t *half, int64_t stride, int n_group, int n_row,
                      uint8_t *strip)
{
    uint8_t *codes = strip + strip_head_bytes(n_row);
    int n = n_group * LANES, code_bytes = strip_code_bytes(format, n_group);
    float most = (float)((1 << strip_bits(format)) - 1), x[STRIP_LANES], least, inverse;
    memset(strip, 0, strip_bytes(format, n_group, n_row));
    for (int k = 0; k < n_row; k++) {
        for (int i = 0; i < n; i++)
            x[i] = f16_to_f32(half[k * stride + i]);
        struct strip_row row = row_of(x, n, most, &least, &inverse);
        memcpy(strip + (size_t)k * sizeof row, &row, sizeof row);
        for (int i = 0; i < n && row.scale != 0x7e00; i++) {
            float q = (x[i] - least) * inverse;
            int code = scalar_round(q > most ? most : q), group = i / LANES;
            if (format == FORMAT_Q8_1)
                codes[k * code_bytes + i] = (uint8_t)code;
            else
                codes[k * code_bytes + group / 2 * LANES + i % LANES] |= (uint8_t)(code << group % 2 * 4);
        }
    }
}

void pack_span_q4_c(const uint16_t *half, int64_t stride, int n_group, int n_row, uint8_t *strip)
{
    pack_span(FORMAT_Q4_1, half, stride, n_group, n_row, strip);
}

void pack_span_q8_c(const uint16_t *half, int64_t stride, int n_group, int n_row, uint8_t *strip)
{
    pack_span(FORMAT_Q8_1, half, stride, n_group, n_row, strip);
}
