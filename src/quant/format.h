/* Weight formats: one row each. A row says how a block of weights lies in a file and decodes it to f32
 * exactly. */
#ifndef LATHE_QUANT_FORMAT_H
#define LATHE_QUANT_FORMAT_H
#include <stdint.h>
#include "base/err.h"

/* name, GGML type number, weights per block, bytes per block, runs here */
#define FORMATS(X)                 \
    X(F32, 0, 1, 4, true)          \
    X(F16, 1, 1, 2, true)          \
    X(Q4_0, 2, 32, 18, true)       \
    X(Q4_1, 3, 32, 20, true)       \
    X(Q5_0, 6, 32, 22, false)      \
    X(Q5_1, 7, 32, 24, false)      \
    X(Q8_0, 8, 32, 34, true)       \
    X(Q8_1, 9, 32, 36, false)      \
    X(Q2_K, 10, 256, 84, false)    \
    X(Q3_K, 11, 256, 110, false)   \
    X(Q4_K, 12, 256, 144, false)   \
    X(Q5_K, 13, 256, 176, false)   \
    X(Q6_K, 14, 256, 210, false)   \
    X(Q8_K, 15, 256, 292, false)   \
    X(IQ2_XXS, 16, 256, 66, false) \
    X(IQ2_XS, 17, 256, 74, false)  \
    X(IQ3_XXS, 18, 256, 98, false) \
    X(IQ1_S, 19, 256, 50, false)   \
    X(IQ4_NL, 20, 32, 18, false)   \
    X(IQ3_S, 21, 256, 110, false)  \
    X(IQ2_S, 22, 256, 82, false)   \
    X(IQ4_XS, 23, 256, 136, false) \
    X(I8, 24, 1, 1, false)         \
    X(I16, 25, 1, 2, false)        \
    X(I32, 26, 1, 4, false)        \
    X(I64, 27, 1, 8, false)        \
    X(F64, 28, 1, 8, false)        \
    X(IQ1_M, 29, 256, 56, false)   \
    X(BF16, 30, 1, 2, true)        \
    X(TQ1_0, 34, 256, 54, false)   \
    X(TQ2_0, 35, 256, 66, false)   \
    X(MXFP4, 39, 32, 17, false)

enum format_id {
#define X(name, id, block, bytes, runs) FORMAT_##name = id,
    FORMATS(X)
#undef X
};

struct format {
    const char *name;
    uint32_t id;
    int block_n;     /* weights per block */
    int block_bytes; /* bytes per block */
    bool runs;       /* kernels exist */
    /* y[n] = block-coded x; n % block_n == 0; x unaligned. Exact: every weight is representable in f32. NULL
     * if !runs. */
    void (*decode)(const void *x, float *y, int64_t n);
};

/* NULL for a number that is not in the table. */
const struct format *format_by_id(uint32_t id);
const struct format *format_by_name(const char *name);

/* IEEE half and bfloat16, exact to f32; the other way to nearest even. */
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float x);
static inline float bf16_to_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)h << 16};
    return v.f;
}
static inline uint16_t f32_to_bf16(float x)
{
    union {
        float f;
        uint32_t u;
    } v = {.f = x};
    if ((v.u & 0x7fffffff) > 0x7f800000) /* quiet: the upper half alone might read as infinity */
        return (uint16_t)(v.u >> 16 | 0x40);
    return (uint16_t)((v.u + 0x7fff + (v.u >> 16 & 1)) >> 16);
}
#endif
