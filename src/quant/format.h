/* Weight formats: one row each. A row says how a block of weights lies in a file and decodes it to f32
 * exactly. */
#ifndef LATHE_QUANT_FORMAT_H
#define LATHE_QUANT_FORMAT_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* name, GGML type number, weights per block, bytes per block, what is known of it: FLOATS, BLOCKS (quant/parts.h), those that
 * it only TAKES apart, or NO more than its size. Those from FORMAT_OWN on are of this program, what it makes of quantized
 * safetensors; GGUF has no number for them, and they are never written to one. */
#define FORMATS(X)                     \
    X(F32, 0, 1, 4, FLOATS)            \
    X(F16, 1, 1, 2, FLOATS)            \
    X(Q4_0, 2, 32, 18, BLOCKS)         \
    X(Q4_1, 3, 32, 20, BLOCKS)         \
    X(Q5_0, 6, 32, 22, BLOCKS)         \
    X(Q5_1, 7, 32, 24, BLOCKS)         \
    X(Q8_0, 8, 32, 34, BLOCKS)         \
    X(Q8_1, 9, 32, 36, NO)             \
    X(Q2_K, 10, 256, 84, BLOCKS)       \
    X(Q3_K, 11, 256, 110, BLOCKS)      \
    X(Q4_K, 12, 256, 144, BLOCKS)      \
    X(Q5_K, 13, 256, 176, BLOCKS)      \
    X(Q6_K, 14, 256, 210, BLOCKS)      \
    X(Q8_K, 15, 256, 292, NO)          \
    X(IQ2_XXS, 16, 256, 66, TAKES)     \
    X(IQ2_XS, 17, 256, 74, TAKES)      \
    X(IQ3_XXS, 18, 256, 98, TAKES)     \
    X(IQ1_S, 19, 256, 50, TAKES)       \
    X(IQ4_NL, 20, 32, 18, BLOCKS)      \
    X(IQ3_S, 21, 256, 110, TAKES)      \
    X(IQ2_S, 22, 256, 82, TAKES)       \
    X(IQ4_XS, 23, 256, 136, BLOCKS)    \
    X(I8, 24, 1, 1, NO)                \
    X(I16, 25, 1, 2, NO)               \
    X(I32, 26, 1, 4, NO)               \
    X(I64, 27, 1, 8, NO)               \
    X(F64, 28, 1, 8, NO)               \
    X(IQ1_M, 29, 256, 56, TAKES)       \
    X(BF16, 30, 1, 2, FLOATS)          \
    X(TQ1_0, 34, 256, 54, TAKES)       \
    X(TQ2_0, 35, 256, 66, TAKES)       \
    X(MXFP4, 39, 32, 17, BLOCKS)       \
    X(INT4_32, 240, 32, 19, BLOCKS)    \
    X(INT4_64, 241, 64, 35, BLOCKS)    \
    X(INT4_128, 242, 128, 67, BLOCKS)  \
    X(INT8_32, 243, 32, 35, BLOCKS)    \
    X(INT8_128, 244, 128, 131, BLOCKS) \
    X(NF4, 245, 64, 36, BLOCKS)

enum format_id {
#define X(name, id, block, bytes, kind) FORMAT_##name = id,
    FORMATS(X)
#undef X
        FORMAT_END, /* past the highest number */
    FORMAT_OWN = 240
};

struct parts;
struct columns;
struct int_grid;

struct format {
    const char *name;
    uint32_t id;
    int block_n;     /* weights per block */
    int block_bytes; /* bytes per block */
    bool runs;       /* kernels exist */
    /* y[n] = block-coded x; n % block_n == 0; x unaligned. Exact: every weight is representable in f32. NULL
     * if !runs. */
    void (*decode)(const void *x, float *y, int64_t n);
    /* Formats of blocks (quant/parts.h); else NULL. */
    void (*take)(const uint8_t *restrict x, struct parts *restrict p);
    void (*columns)(const struct parts *p, int i, struct columns *c);
    void (*put)(const struct parts *p,
                uint8_t *x); /* the inverse of take; NULL if blocks of it are not written */
    /* Of integers with scales and zero points as a file wants them (quant/int_fit.h): a copy of the format's row has it. NULL: encoders
     * go by the format alone (quant/scheme.h). */
    const struct int_grid *ints;
};

/* NULL for a number that is not in the table. */
const struct format *format_by_id(uint32_t id);
const struct format *format_by_name(const char *name);
/* Whether GGUF has it. */
static inline bool format_in_gguf(uint32_t id)
{
    return id < FORMAT_OWN;
}
/* F32, F16 or BF16. */
bool format_is_float(uint32_t id);
/* The names of all that run, with spaces between. */
void format_names(char *out, size_t n);

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
