/* The encoders: f32, f16 and bf16 to nearest even; Q8_0 with the scale that takes the largest weight of a block to 127.
 *
 * A block of Q8_0 with NaN or infinity in it becomes NaN as a whole, so that whoever computes with it sees it. */
#include "quant/encode.h"
#include <math.h>
#include <string.h>
#include <strings.h>

static void encode_f32(const float *x, void *y, int64_t n)
{
    memcpy(y, x, (size_t)n * sizeof *x);
}

static void encode_f16(const float *x, void *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t h = f32_to_f16(x[i]);
        memcpy((uint8_t *)y + 2 * i, &h, sizeof h);
    }
}

static void encode_bf16(const float *x, void *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t h = f32_to_bf16(x[i]);
        memcpy((uint8_t *)y + 2 * i, &h, sizeof h);
    }
}

/* As llama.cpp does it: by the reciprocal of the unrounded scale, halves away from zero. */
static void encode_q8_0_block(const float *x, uint8_t *y)
{
    float most = 0;
    bool finite = true;
    for (int i = 0; i < 32; i++) {
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
        finite &= isfinite(x[i]) != 0;
    }
    float d = most / 127.0f, inverse = d > 0 ? 1.0f / d : 0;
    uint16_t h = finite ? f32_to_f16(d) : 0x7e00;
    memcpy(y, &h, sizeof h);
    for (int i = 0; i < 32; i++) {
        float q = finite ? roundf(x[i] * inverse) : 0;
        q = q > 127 ? 127 : q < -127 ? -127 : q; /* the reciprocal of a denormal scale is infinite */
        y[2 + i] = (uint8_t)(int8_t)(isnan(q) ? 0 : q);
    }
}

static void encode_q8_0(const float *x, void *y, int64_t n)
{
    for (int64_t k = 0; k < n / 32; k++)
        encode_q8_0_block(x + 32 * k, (uint8_t *)y + 34 * k);
}

static const struct {
    uint32_t id;
    encode_fn *encode;
} rows[] = {{FORMAT_F32, encode_f32},
            {FORMAT_F16, encode_f16},
            {FORMAT_BF16, encode_bf16},
            {FORMAT_Q8_0, encode_q8_0}};

encode_fn *format_encoder(uint32_t id)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].id == id)
            return rows[i].encode;
    return NULL;
}

const struct format *format_encoded_as(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcasecmp(format_by_id(rows[i].id)->name, name) == 0)
            return format_by_id(rows[i].id);
    return NULL;
}
